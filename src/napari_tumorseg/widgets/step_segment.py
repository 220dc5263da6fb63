"""The step Segment: choose a model and let it propose a mask."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from qtpy.QtWidgets import QComboBox, QLabel

from napari_tumorseg.core.errors import TumorSegError
from napari_tumorseg.core.segmenter import SegmenterSpec
from napari_tumorseg.core.wording import ml_text
from napari_tumorseg.widgets.forms import RequestForm
from napari_tumorseg.widgets.parts import More, button, note
from napari_tumorseg.widgets.steps import Step
from napari_tumorseg.widgets.work import Work
from napari_tumorseg.workflows.segment import SegmentRequest, SegmentResult, case_fitness, warnings_for

__all__ = ["SegmentStep"]

#: The model that is offered first.
DEFAULT_MODEL = "brain-tumour-small"


class SegmentStep(Step):
    """Lists the catalogue, says what each model needs and whether the case has it, and runs one."""

    title = "Segment"

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.model = QComboBox()
        self.model.setAccessibleName("Model")
        self.model.setToolTip("Which model proposes the mask")
        self.model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.model.setMinimumContentsLength(16)
        self.about = note(name="What the model is")
        self.needs = note(name="What the model needs")
        self.fitness = note(name="Whether it can run on this case")
        self.limits = note(name="Limits of the model")
        self.run = button("Segment", "Run the model; its mask is added, nothing that is there is changed", self._run, primary=True)
        self.result = note(name="Result")
        # Probabilities have no place in the window yet; asking for them would only cost memory.
        # Probabilities tell where the model was unsure; they are looked at and let go.
        asked = SegmentRequest("", probabilities=True)
        self.form: RequestForm[SegmentRequest] = RequestForm(asked, hidden=("model", "timepoint", "probabilities"))
        for item in (self.model, self.about, self.needs, self.fitness, self.limits, More(self.form), self.run, self.result):
            self.body.addWidget(item)
        self.model.currentIndexChanged.connect(lambda _index: self.refresh())
        self.session.case_changed.connect(self._on_case)
        work.started.connect(self._on_started)
        work.ended.connect(self._on_ended)
        work.segmented.connect(self._on_segmented)
        self.load_models()

    def load_models(self) -> None:
        """List the models of the catalogue, those that can run first."""
        before = self.model.currentData()
        self.model.blockSignals(True)
        self.model.clear()
        catalogue = self.work.catalogue
        names = sorted(catalogue.names(), key=lambda n: (n != DEFAULT_MODEL, not catalogue.state(n).ready, n))
        for name in names:
            if self._only_prompted(name):
                continue
            self.model.addItem(name if catalogue.state(name).ready else f"{name} (not installed)", name)
        self.model.setCurrentIndex(max(0, self.model.findData(before)))
        self.model.blockSignals(False)
        self.refresh()

    def _only_prompted(self, name: str) -> bool:
        # What answers clicks alone is a tool of the step Correct.
        with suppress(TumorSegError):
            spec = self.work.catalogue.spec(name)
            return bool(spec.prompts) and not spec.regions
        return False

    @property
    def spec(self) -> SegmenterSpec | None:
        """What the chosen model is and needs; None when its card cannot be read."""
        name = self.model.currentData()
        if name:
            with suppress(TumorSegError):
                return self.work.catalogue.spec(name)
        return None

    def refresh(self) -> None:
        """Show what is known about the chosen model and this case."""
        name, spec, case = self.model.currentData(), self.spec, self.session.case
        if not name:
            _show(self.about, "No model is installed. Type `tumorseg models list` in a shell to see where models are looked for.")
        if spec is None:
            for label in (self.needs, self.limits):
                label.hide()
            _show(self.fitness, f"✗ {self.work.catalogue.state(name).reason}" if name else "")
            self.run.setEnabled(False)
            self._tell_state(False)
            return
        self.form.show_field("text", spec.takes_text)
        have = self.session.volumes
        needs = [f"{_sign(n.modality in have, case is not None)}{n.modality}{'' if n.required else ' (optional)'}" for n in spec.inputs]
        brain = "; the brain alone, without skull" if spec.skull_stripped else ""
        _show(self.about, spec.title)
        _show(self.needs, f"Needs: {', '.join(needs)}{brain}")
        _show(self.limits, "\n".join(f"! {warning}" for warning in warnings_for(spec)))
        state = self.work.catalogue.state(name)
        ready = state.ready
        if not ready:
            _show(self.fitness, f"✗ {state.reason}")
        elif case is None:
            ready = False
            _show(self.fitness, "Open a case first.")
        else:
            fit = case_fitness(case, spec, self.session.timepoint)
            ready = fit.ready
            sign = "✓" if fit.ready and not fit.reason else "!" if fit.ready else "✗"
            _show(self.fitness, f"{sign} {fit.reason or 'This case has all that it needs.'}{' ' + state.reason if state.reason else ''}")
        self.run.setEnabled(ready and not self.work.busy)
        self._tell_state(ready)

    def _tell_state(self, ready: bool) -> None:
        if self.work.busy or self.state.startswith("✓"):
            return
        self.set_state("ready" if ready else "needs a case" if self.session.case is None else "! cannot run")

    def _run(self) -> None:
        name = self.model.currentData()
        if name:
            self.work.segment(replace(self.form.value, model=name, timepoint=self.session.timepoint))

    def _on_case(self) -> None:
        self.result.hide()
        self.set_state("")
        # A model may have been added since.
        self.load_models()

    def _on_started(self, kind: str, _title: str) -> None:
        self.run.setEnabled(False)
        if kind == "segment":
            self.result.hide()
            self.set_state("… running")

    def _on_ended(self, kind: str, outcome: str) -> None:
        if kind == "segment" and outcome != "done":
            self.set_state("✗ failed" if outcome == "failed" else "cancelled")
            self.run.setEnabled(self.spec is not None)
            return
        self.refresh()

    def _on_segmented(self, result: SegmentResult) -> None:
        seconds = result.seconds.get("total", 0.0)
        self.set_state(f"✓ done, {seconds:.0f} s")
        volumes = ", ".join(f"{name} {ml_text(volume)} mL" for name, volume in result.regions_ml.items() if volume)
        count = len(result.lesions)
        found = f"{count} lesion{'' if count == 1 else 's'} in {seconds:.0f} s on {result.prediction.device}"
        text = f"{found}. {volumes or 'No tumour was found.'}"
        _show(self.result, "\n".join([text, *(f"! {line}" for line in result.prediction.notes)]))


def _sign(there: bool, known: bool) -> str:
    return ("✓ " if there else "✗ ") if known else ""


def _show(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))
