"""Groups of settings, one class each: what an operator writes under one name of the settings file."""
