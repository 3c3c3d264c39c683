# Targets for a real Kafka and Redis without Docker; included by the Makefile of the repository.
#   make services-up > services.env         the two LIVENESS_...= lines and nothing else
#   make services-up SERVICES_STATE=/some/folder SERVICES_PYTHON=python3.12

SERVICES_LOCAL := $(dir $(lastword $(MAKEFILE_LIST)))
SERVICES_PYTHON ?= python3
SERVICES_STATE ?= $(SERVICES_LOCAL)../../.services

.PHONY: services-up services-down services-status services-redis

services-up: ## Start Kafka and Redis in the background, print their two settings
	@$(SERVICES_PYTHON) $(SERVICES_LOCAL)services.py up --state "$(SERVICES_STATE)"

services-down: ## Stop Kafka and Redis; ports and data stay
	@$(SERVICES_PYTHON) $(SERVICES_LOCAL)services.py down --state "$(SERVICES_STATE)"

services-status: ## Tell whether Kafka and Redis answer
	@$(SERVICES_PYTHON) $(SERVICES_LOCAL)services.py status --state "$(SERVICES_STATE)"

services-redis: ## Build Redis 8 from Debian's source package into the cache
	@$(SERVICES_PYTHON) $(SERVICES_LOCAL)services.py build-redis
