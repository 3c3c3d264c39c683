#!/bin/sh
# The Debian packages that the local services need: a Java runtime and Maven, and what `make setup` starts from, which
# brings the Redis. Installs only what is missing; quick when nothing is.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "install-debian.sh: needs root or sudo for: $*" >&2
        exit 3
    fi
}

if ! command -v apt-get >/dev/null; then
    echo "install-debian.sh: there is no apt-get here; see deploy/local/README.md for what is needed" >&2
    exit 3
fi

updated=no
update_lists() {
    if [ "$updated" = no ]; then
        as_root apt-get -qq update >&2 || exit 3
        updated=yes
    fi
}

install_packages() {
    update_lists
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" >&2 || exit 3
}

# openjdk-17-jre-headless is Debian 12's; newer releases have a newer one behind the default package.
java_package() {
    if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
        echo openjdk-17-jre-headless
    else
        echo default-jre-headless
    fi
}

command -v python3 >/dev/null || install_packages python3-venv
command -v make >/dev/null || install_packages make

needed=$(python3 "$here/services.py" packages)
if [ -n "$needed" ]; then
    update_lists
    needed=$(echo "$needed" | sed "s/^openjdk-17-jre-headless\$/$(java_package)/")
    # shellcheck disable=SC2086  # one word per package
    install_packages $needed
fi
