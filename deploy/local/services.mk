# Targets for a real Kafka and Redis without Docker; included by the Makefile of the repository.
#   make services-up > services.env         the LIVENESS_...= lines and nothing else
#   make services-up SECURE=1               with TLS, logins and access rights; also for -down and -status
#   make services-up SERVICES_STATE=/some/folder SERVICES_PYTHON=python3.12

SERVICES_LOCAL := $(dir $(lastword $(MAKEFILE_LIST)))
SERVICES_STATE ?= $(SERVICES_LOCAL)../../.services$(if $(SECURE),-secure)

# Only `up` needs the virtual environment, for its Redis; stopping and asking work with any Python.
.PHONY: services-up services-down services-status

services-up: $(READY) ## Start Kafka and Redis in the background (SECURE=1: with TLS and logins), print their settings
	@$(or $(SERVICES_PYTHON),$(BIN)/python) $(SERVICES_LOCAL)services.py up --state "$(SERVICES_STATE)" $(if $(SECURE),--secure)

services-down: ## Stop Kafka and Redis; ports and data stay
	@$(or $(SERVICES_PYTHON),$(PYTHON)) $(SERVICES_LOCAL)services.py down --state "$(SERVICES_STATE)"

services-status: ## Tell whether Kafka and Redis answer
	@$(or $(SERVICES_PYTHON),$(PYTHON)) $(SERVICES_LOCAL)services.py status --state "$(SERVICES_STATE)"
