# Every target does its own set-up: packages of the distribution, then a virtualenv under .build (cached, see scripts/venv).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.build/venv/bin:$(PATH)
# What is costly is built once and kept here for all checkouts.
export PHOTON_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/photon-platform
export PHOTON_LAB_CACHE ?= $(PHOTON_CACHE)/lab

.PHONY: help demo kubernetes-cache cluster-demo test test-setup test-unit test-roles test-kubernetes-full test-image mutants chaos bench dist lint format sanity clean distclean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 22

demo: ## a simulated data centre, two tenants and 40 VMs, from nothing to running, in a few minutes; as root with balancers
	@scripts/packages demo $$([ $$(id -u) -ne 0 ] || echo roles)
	@scripts/venv runtime
	@scripts/demo

kubernetes-cache: ## Kubernetes for the lab out of Go modules, once [VERSION=1.37.2 alone]; KEEP=1 keeps the Go caches
	@scripts/packages kubernetes
	@scripts/venv runtime
	@bin/lab kubernetes build $(if $(VERSION),--version $(VERSION)) $(if $(KEEP),--keep)

cluster-demo: ## a Kubernetes cluster on seven real hosts of this machine, from nothing, in a few minutes (as root)
	@scripts/packages roles kubernetes
	@scripts/venv dev
	@bin/lab kubernetes build --newer
	@scripts/cluster-demo

test: test-setup ## all tests: unit (also with the newest ansible-core where a newer Python is found), integration, chaos sample, roles
	@python scripts/tests.py all

test-setup: ## what `make test` needs besides: packages of the distribution and the virtualenv
	@scripts/packages test $$([ $$(id -u) -ne 0 ] || echo roles kubernetes)
	@scripts/venv dev awx

test-unit: ## the fast tests alone
	@scripts/venv dev
	@python scripts/tests.py unit

test-roles: ## the roles' Molecule scenarios [ROLE=name] [LAB_DRIVER=nspawn|podman|ssh]
	@scripts/packages roles$(addprefix -,$(filter podman ssh,$(LAB_DRIVER)))
	@scripts/venv dev
	@python scripts/tests.py roles

test-kubernetes-full: ## upgrade under load, kills at each play, repair, backup and restore of real clusters (as root; long)
	@scripts/packages test roles kubernetes
	@scripts/venv dev
	@bin/lab kubernetes build --judge
	@python scripts/tests.py kubernetes

test-image: ## the execution environment as an image, on the lab's own Debian, and a job in it (podman; minutes)
	@scripts/packages test roles-podman
	@scripts/venv dev awx
	@python scripts/tests.py image

mutants: ## changed lines of the roles and of the accounting, each of which unit tests must notice
	@scripts/packages test
	@scripts/venv dev
	@python tests/benchmarks/run.py --only role_mutants --only mutants

chaos: ## every kill point, every fault and every moment of a cancelled job, not only the sample that `make test` runs
	@scripts/packages test
	@scripts/venv dev awx
	@PHOTON_CHAOS=all python scripts/tests.py chaos

bench: ## the benchmarks [ONLY=name], into .build/bench.json
	@scripts/packages test
	@scripts/venv dev peers
	@python tests/benchmarks/run.py $(if $(ONLY),--only $(ONLY))

dist: ## a release in dist/: the collection's archive and the wheel with the commands
	@scripts/venv dev
	@scripts/dist

lint: ## ruff, yamllint, ansible-lint (production profile), changelog fragments
	@scripts/venv lint
	@scripts/lint

format: ## let ruff format the Python files and put imports in order
	@scripts/venv lint
	@ruff check --fix-only --quiet .
	@ruff format .

sanity: ## ansible-test sanity on a copy of the collection
	@scripts/venv dev
	@scripts/sanity

clean: ## remove what the targets built here
	@rm -rf .build dist .pytest_cache .ruff_cache .hypothesis .ansible
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

distclean: ## clean, and what is cached for all checkouts; refused while hosts of a lab run
	@scripts/distclean
