"""The commands of ``tumorseg``, each a thin layer over a workflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.agree import agree
from napari_tumorseg.cli.compare import compare
from napari_tumorseg.cli.console import emit, say, shown_progress
from napari_tumorseg.cli.evaluate import evaluate
from napari_tumorseg.cli.models import models_app
from napari_tumorseg.cli.quantify import quantify
from napari_tumorseg.cli.raters import raters
from napari_tumorseg.cli.response import response
from napari_tumorseg.cli.slide import slide_app
from napari_tumorseg.cli.study import study_app
from napari_tumorseg.core.errors import InputError

__all__ = ["app"]

app = typer.Typer(
    name="tumorseg",
    help="Pre-segment tumours, correct them in napari, and measure. Research use only; not a medical device.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(models_app, name="models")
app.add_typer(study_app, name="study")
app.add_typer(slide_app, name="slide")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Show the version, or the help when no command is given."""
    if version:
        from napari_tumorseg import __version__

        emit(__version__, as_json=False, text=__version__)
    elif context.invoked_subcommand is None:
        emit(None, as_json=False, text=context.get_help())


@app.command()
def segment(
    case: Annotated[list[Path], typer.Argument(help="A case folder, or its image files.")],
    model: Annotated[str, typer.Option(help="Model of the catalogue.")] = "brain-tumour-small",
    out: Annotated[Path, typer.Option(help="Folder for the mask and the report.")] = Path(),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    modality: Annotated[
        list[str] | None, typer.Option(help="Which file is which, e.g. --modality T1c=post.nii.gz; may be repeated.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="File ending of the mask: .nii.gz, .seg.nrrd or .dcm; by default what suits the images.")
    ] = "",
    probabilities: Annotated[bool, typer.Option(help="Also write the probability of each region.")] = False,
    text: Annotated[str, typer.Option(help="Text prompt, for models that take one.")] = "",
    as_json: Json = False,
) -> None:
    """Pre-segment a case; the mask is written beside a JSON report."""
    from napari_tumorseg.workflows.segment import SegmentRequest
    from napari_tumorseg.workflows.segment_files import segment_files

    chosen = {}
    for item in modality or ():
        name, found, path = item.partition("=")
        if not found or not name or not path:
            raise InputError(f"--modality {item} is not of the form NAME=FILE.", "Write e.g. --modality T1c=post.nii.gz.")
        chosen[name] = Path(path)
    request = SegmentRequest(model, device, probabilities, text)
    with shown_progress() as progress:
        document = segment_files(case, request, out, modalities=chosen, ending=format_, progress=progress)
    lines = [f"Mask: {document['mask']} ({document['review']})"]
    lines += [f"{name}: {volume:.2f} mL" for name, volume in document["regions_ml"].items()]
    lines += [f"{len(document['lesions'])} lesions, {document['seconds']['total']:.1f} s on {document['device']}"]
    lines += [f"Note: {warning}" for warning in document["warnings"]]
    emit(document, as_json=as_json, text="\n".join([*lines, document["notice"]]))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Image, mask or DICOM folder.")],
    target: Annotated[Path, typer.Argument(help="File to write; its ending names the format.")],
    reference: Annotated[Path | None, typer.Option(help="Image or DICOM folder that the mask belongs to.")] = None,
    schema: Annotated[str, typer.Option(help="Label schema of the mask, e.g. brats-mets-2025.")] = "",
    kind: Annotated[str, typer.Option("--as", help="image, mask or auto.")] = "auto",
    on_overlap: Annotated[str, typer.Option(help="Which segment wins where several overlap: error, first or last.")] = "error",
    seg_type: Annotated[str, typer.Option(help="DICOM SEG type: binary, labelmap or fractional.")] = "binary",
    spacing: Annotated[str, typer.Option(help="Voxel size z,y,x in mm for formats that state none.")] = "",
    replace: Annotated[bool, typer.Option(help="Replace the target when it exists.")] = False,
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Fill slices that a DICOM series lacks from their neighbours.")] = False,
    as_json: Json = False,
) -> None:
    """Turn one image or mask format into another."""
    from napari_tumorseg.workflows.convert import ConvertRequest
    from napari_tumorseg.workflows.convert import convert as run_convert

    request = ConvertRequest(source, target, reference, schema, kind, on_overlap, seg_type, spacing, replace, allow_gaps)
    with shown_progress() as progress:
        document = run_convert(request, progress)
    for warning in document["warnings"]:
        say(warning)
    emit(document, as_json=as_json, text=f"Wrote {document['target']} ({document['kind']}, {document['format']})")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has, what is missing, and how to get it."""
    from napari_tumorseg.workflows.doctor import as_text, diagnose

    document = diagnose()
    emit(document, as_json=as_json, text=as_text(document))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for screenshot, mask and report.")] = Path("demo_output"),
    model: Annotated[str, typer.Option(help="Model of the catalogue.")] = "brain-tumour-small",
    case: Annotated[Path | None, typer.Option(help="A case folder of your own instead of the sample.")] = None,
    window: Annotated[bool, typer.Option(help="Open the window; without, a virtual display is used.")] = True,
    as_json: Json = False,
) -> None:
    """Open a sample brain-metastasis case, pre-segmented and ready to correct."""
    from napari_tumorseg.cli.demo import run_demo

    with shown_progress() as progress:
        document = run_demo(out, model, case, window, progress)
    emit(document, as_json=as_json, text=document["text"])


app.command()(agree)
app.command()(evaluate)
app.command()(quantify)
app.command()(raters)
app.command()(compare)
app.command()(response)
