# make demo and make test do all the set-up on a fresh machine; both need Python 3.10 to 3.13 and the package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
DEMO_MINUTES ?= 5

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	$(BIN)/dvdgan train cpu-32-quick --data phenomena --out $(DEMO) --minutes $(DEMO_MINUTES)
	$(BIN)/dvdgan generate --model $(DEMO) --num 36 --seed 1 --out $(DEMO)/clips.mp4 --scale 4
	$(BIN)/dvdgan generate --model $(DEMO) --num 18 --seed 1 --out $(DEMO)/sheet.png --scale 2
	@echo
	@echo "training clips:  $(DEMO)/samples/real.png  $(DEMO)/samples/real.mp4"
	@echo "generated clips: $(DEMO)/sheet.png  $(DEMO)/clips.mp4"
	@echo "the model:       $(DEMO)/model"

test: $(VENV)/.installed
	$(BIN)/ruff check src tests docs bench scripts
	$(BIN)/mypy
	$(BIN)/python -m pytest

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info
