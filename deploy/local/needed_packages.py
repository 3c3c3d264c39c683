"""Which Debian packages this machine still lacks for the local services."""

from __future__ import annotations

import redis_server
from kafka_broker import libs_cached
from prerequisites import (
    JAVA_PACKAGE,
    REDIS_BUILD_TOOLS,
    MissingError,
    find_java,
    missing_commands,
    packages_for,
)


def needed_packages() -> list[str]:
    """Package names, each once; empty when `up` and `build-redis` can do their work.

    What the cache already holds needs no tools any more: a machine with a filled cache needs Java only.
    """
    packages: list[str] = []
    try:
        find_java()
    except MissingError:
        packages.append(JAVA_PACKAGE)
    if not libs_cached():
        packages += packages_for(missing_commands(["mvn"]))
    try:
        redis_server.find_server()
    except MissingError:
        packages += packages_for(missing_commands(REDIS_BUILD_TOOLS))
    return packages
