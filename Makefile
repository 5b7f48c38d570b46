PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# One release for every reader: its printed digits are the ones on the pages.
TORCH := 2.13.0

.DEFAULT_GOAL := help
.PHONY: help book test lab notebooks bench pins clean

help:  ## show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "No interpreter '$(PYTHON)' found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Small Weights needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V). Name a newer one: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv: the first time takes a few minutes."
	@$(PYTHON) -m venv .venv || { \
	  echo "Python could not make .venv. On Debian and Ubuntu, install the package python3-venv and try again."; exit 1; }
	@$(BIN)/python -m pip install --quiet --requirement requirements.txt && \
	  $(BIN)/python -m pip install --quiet --no-deps --editable . || { \
	  echo "The installation failed; pip's message is above. Check the network and the free disk space (3 GB), then run the same command again."; exit 1; }
	@touch $@

pins: $(READY)  ## compile requirements.txt anew from the ranges in pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --all-extras --strip-extras --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --upgrade-package torch==$(TORCH) --output-file requirements.txt pyproject.toml
	@sed -i.bak 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.txt && rm requirements.txt.bak
