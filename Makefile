# make demo and make test do all the set-up on a fresh machine; both need Python 3.10 to 3.13 and the package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
DEMO_MINUTES ?= 0
FIRST := $(foreach class,pan-right zoom-in flow,--first docs/first/$(class).png --class $(class))

.PHONY: demo test lint clean

demo: $(VENV)/.installed
ifeq ($(DEMO_MINUTES),0)
	$(BIN)/dvdgan generate --model phenomena-64 --num 27 --seed 1 --out $(DEMO)/sheet.png --scale 2
	$(BIN)/dvdgan generate --model phenomena-64 --num 27 --seed 1 --out $(DEMO)/clips.mp4 --scale 3
	$(BIN)/dvdgan generate --model phenomena-64 --num 27 --seed 1 --out $(DEMO)/clips --scale 4
	$(BIN)/dvdgan predict --model phenomena-64-fp $(FIRST) --num 3 --out $(DEMO)/futures.png --scale 2
	$(BIN)/dvdgan predict --model phenomena-64-fp $(FIRST) --num 3 --out $(DEMO)/futures.mp4 --scale 3
	@echo
	@echo "clips of every class by a model that comes with dvdgan, three seeds each:"
	@echo "  $(DEMO)/sheet.png  $(DEMO)/clips.mp4  and one by one in $(DEMO)/clips"
	@echo "three futures of each of three pictures, by another one:"
	@echo "  $(DEMO)/futures.png  $(DEMO)/futures.mp4"
	@echo "to train one of your own in five minutes: make demo DEMO_MINUTES=5"
else
	$(BIN)/dvdgan train cpu-32-quick --data phenomena --out $(DEMO)/run --minutes $(DEMO_MINUTES)
	$(BIN)/dvdgan generate --model $(DEMO)/run --num 27 --seed 1 --out $(DEMO)/trained.mp4 --scale 4
	$(BIN)/dvdgan generate --model $(DEMO)/run --num 27 --seed 1 --out $(DEMO)/trained.png --scale 2
	@echo
	@echo "training clips:  $(DEMO)/run/samples/real.png  $(DEMO)/run/samples/real.mp4"
	@echo "generated clips: $(DEMO)/trained.png  $(DEMO)/trained.mp4"
	@echo "the model:       $(DEMO)/run/model"
endif

test: $(VENV)/.installed
	$(BIN)/ruff check src tests docs bench scripts
	$(BIN)/ruff format --check src tests docs bench scripts
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info
