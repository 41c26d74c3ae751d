# One command per chore; `make` alone lists them.
#
# PYTHON      the Python that makes .venv (3.11, 3.12 or 3.13)
# PIPFLAGS    extra options for pip install
# LABFLAGS    extra options for jupyter lab, for example --no-browser --port 8899
# PYTESTFLAGS extra options for pytest, for example -k grid

PYTHON ?= python3
VENV   ?= .venv
export PIPFLAGS

PY       := $(VENV)/bin/python
PARALLEL := -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder
NOTEBOOK := notebooks/01_label_a_scene.ipynb
INSTALL  := pyproject.toml constraints.txt .ci/venv.sh

.DEFAULT_GOAL := help
.PHONY: help lab demo test test-all bench lint clean FORCE

# A copied or moved tree must not run the original's code: its environment still points there.
ifneq ($(shell cat $(VENV)/.home 2>/dev/null),$(CURDIR))
$(VENV)/.lab $(VENV)/.test $(VENV)/.bench: FORCE
endif

help:
	@echo "make lab       open JupyterLab on the first notebook (makes $(VENV) when needed)"
	@echo "make demo      the same job without a browser, with scripted clicks; the last line is its result in JSON"
	@echo "make test      run the tests, in a real browser too"
	@echo "make test-all  run the slow tests as well"
	@echo "make bench     measure: clicks, rounds, memory"
	@echo "make lint      check style and layers"
	@echo "make clean     remove $(VENV), caches and test artefacts"

# Each larger set of packages holds the smaller ones, so that they do not take turns installing.
$(VENV)/.lab: $(INSTALL)
	@.ci/venv.sh "$(PYTHON)" "$(VENV)" "."
	@touch $@

$(VENV)/.test: $(INSTALL)
	@.ci/venv.sh "$(PYTHON)" "$(VENV)" ".[test]"
	@touch $(VENV)/.lab $@

$(VENV)/.bench: $(INSTALL)
	@.ci/venv.sh "$(PYTHON)" "$(VENV)" ".[test,bench]"
	@touch $(VENV)/.lab $(VENV)/.test $@

# JupyterLab refuses to run as root unless told that this is meant (containers).
lab: $(VENV)/.lab
	@$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/$(NOTEBOOK) \
		$(if $(filter 0,$(shell id -u)),--allow-root) $(LABFLAGS)

demo: $(VENV)/.lab
	@$(PY) -m seglab demo

test: $(VENV)/.test
	@chromium="$$(.ci/chromium.sh $(PY))" && SEGLAB_CHROMIUM="$$chromium" $(PY) -m pytest $(PARALLEL) $(PYTESTFLAGS)

test-all: $(VENV)/.test
	@chromium="$$(.ci/chromium.sh $(PY))" && SEGLAB_CHROMIUM="$$chromium" $(PY) -m pytest -m "" $(PYTESTFLAGS)

bench: $(VENV)/.bench
	@chromium="$$(.ci/chromium.sh $(PY))" && SEGLAB_CHROMIUM="$$chromium" $(PY) -m pytest tests/bench -m "" -s $(PYTESTFLAGS)

lint: $(VENV)/.test
	@$(PY) -m ruff check .
	@$(PY) -c "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"

clean:
	rm -rf $(VENV) build dist artefacts .pytest_cache .ruff_cache .hypothesis .benchmarks
	find seglab tests notebooks -name __pycache__ -prune -exec rm -rf {} +
