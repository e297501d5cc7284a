# Two commands: `make demo` shows the main job on real posts, `make test` runs lint, types and tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types docs bench bench-long crash clean

demo: .venv/.demo
	$(BIN)/python -m data.sample
	$(BIN)/python -m data.explore
	$(BIN)/python -m embed.extract
	$(BIN)/python -m regress.fit --model mean,ridge,lgbm,mlp,stack --features image,text,all --folds 5x2
	$(BIN)/python -m regress.fit --model ridge --features text --loss wbce:3 --folds 5x2
	$(BIN)/python -m regress.fit --model ridge --features text --oversample random,smoter --folds 5x2
	$(BIN)/python -m regress.compare

test: .venv/.test lint types
	$(BIN)/python -m pytest

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.test
	$(BIN)/mypy

# the site of documentation, in docs/_build
docs: .venv/.test
	$(BIN)/python -m sphinx -q -W -b html docs docs/_build

bench: .venv/.test
	for name in cache decode extraction oversampling regression report; do $(BIN)/python tests/benchmarks/$$name.py || exit 1; done

# a million rows (7 GB of disk), and other packages, each installed into an environment of its own
bench-long: .venv/.test
	$(BIN)/python tests/benchmarks/oversampling_hdf5.py
	$(BIN)/python tests/benchmarks/oversampling_rivals.py

crash: .venv/.test
	$(BIN)/python tests/embed/crash/long.py
	$(BIN)/python tests/regress/crash/long.py

.venv/bin/pip:
	$(PYTHON) -m venv .venv || { echo "python's venv module is missing: apt-get install python3-venv"; exit 1; }

.venv/.demo: pyproject.toml | .venv/bin/pip
	$(BIN)/pip install --quiet --editable '.[demo,cpu]'
	touch $@

.venv/.test: pyproject.toml | .venv/bin/pip
	$(BIN)/pip install --quiet --editable '.[demo,cpu,onnx,docs,test]'
	touch $@ .venv/.demo

clean:
	rm -rf .venv data/sample runs cache.h5 cache.h5.journal cache.h5.bins explore.html report.html
