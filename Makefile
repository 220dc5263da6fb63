# Everything runs in .venv, which the first target that needs it sets up (scripts/bootstrap.sh).

BIN := .venv/bin

.PHONY: help demo test lint clean

help:
	@echo "make demo    set up, then open a pre-segmented sample case; without a display leaves demo_output/"
	@echo "make test    set up, then run every check and test"
	@echo "make lint    set up, then run the checks alone: style, types, floors, manifest"
	@echo "make clean   remove what the others leave behind, except .venv"

demo:
	@scripts/bootstrap.sh all
	@$(BIN)/tumorseg demo

# One process per core; torch's own threads would only wait for one another.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" --numprocesses=auto --maxprocesses=8 --dist=worksteal

lint:
	@scripts/bootstrap.sh all,dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/npe2 validate napari-tumorseg

clean:
	rm -rf build dist demo_output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find benchmarks recipes scripts src tests -name __pycache__ -type d -prune -exec rm -rf {} +
