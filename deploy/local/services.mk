# Targets for a real Kafka and Redis without Docker; included by the Makefile of the repository.
#   make services-up > services.env         the two LIVENESS_...= lines and nothing else
#   make services-up SERVICES_STATE=/some/folder SERVICES_PYTHON=python3.12

SERVICES_LOCAL := $(dir $(lastword $(MAKEFILE_LIST)))
SERVICES_STATE ?= $(SERVICES_LOCAL)../../.services

# Only `up` needs the virtual environment, for its Redis; stopping and asking work with any Python.
.PHONY: services-up services-down services-status

services-up: $(READY) ## Start Kafka and Redis in the background, print their two settings
	@$(or $(SERVICES_PYTHON),$(BIN)/python) $(SERVICES_LOCAL)services.py up --state "$(SERVICES_STATE)"

services-down: ## Stop Kafka and Redis; ports and data stay
	@$(or $(SERVICES_PYTHON),$(PYTHON)) $(SERVICES_LOCAL)services.py down --state "$(SERVICES_STATE)"

services-status: ## Tell whether Kafka and Redis answer
	@$(or $(SERVICES_PYTHON),$(PYTHON)) $(SERVICES_LOCAL)services.py status --state "$(SERVICES_STATE)"
