"""Optional databases: names from records, files that are wrong, and changes under a running worker."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from structlog.testing import capture_logs

from abuse.networks import geo
from abuse.networks.geo import ASN, COUNTRY, GeoDatabase, asn_name, country_name
from config.errors import SettingsError
from tests.unit.abuse.networks.network_folders import during_the_read

ADDRESS = ip_address("93.184.216.34")
V6_ADDRESS = ip_address("2606:2800::1")
KINDS = pytest.mark.parametrize("kind", [ASN, COUNTRY], ids=lambda kind: kind.setting)


def asn(number: int) -> dict:
    return {"autonomous_system_number": number, "autonomous_system_organization": "Example"}


def country(code: str) -> dict:
    return {"country": {"iso_code": code, "names": {"en": "Somewhere"}}}


def database(file: Path, networks: dict[str, dict], *, ip_version: int = 6, type_: str = "Example") -> Path:
    """A database file, written beside its path and moved there."""
    writer = MMDBWriter(ip_version, type_, ipv4_compatible=ip_version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    fresh = file.with_suffix(".new")
    writer.to_db_file(str(fresh))
    return fresh.replace(file)


@pytest.fixture
def file(tmp_path) -> Path:
    (tmp_path / "geo").mkdir()
    return database(
        tmp_path / "geo" / "asn.mmdb", {"93.184.216.0/24": asn(64500), "2606:2800::/32": asn(4_200_000_000)}
    )


def test_names_of_addresses(file, tmp_path):
    found = GeoDatabase(file, ASN)
    addresses = (ADDRESS, V6_ADDRESS, ip_address("8.8.8.8"), ip_address("2607::1"))
    assert [found.name(each) for each in addresses] == ["asn-64500", "asn-4200000000", None, None]
    both = {"93.184.216.0/24": country("DE"), "2606:2800::/32": country("US")}
    found = GeoDatabase(database(tmp_path / "c.mmdb", both), COUNTRY)
    assert (found.name(ADDRESS), found.name(V6_ADDRESS)) == ("country-de", "country-us")
    file = database(tmp_path / "v4.mmdb", {"93.184.216.0/24": country("DE")}, ip_version=4)
    found = GeoDatabase(file, COUNTRY)
    assert (found.name(ADDRESS), found.name(V6_ADDRESS), found.state().why) == ("country-de", None, None)


ASN_RECORDS = [
    *((asn(1), "asn-1"), ({"asn": "AS64500", "country": "DE"}, "asn-64500"), ({"asn": "as1"}, "asn-1")),
    *((record, None) for record in (asn(0), asn(2**32), asn(-1), {})),
    *(({"asn": stated}, None) for stated in ("ASx", "AS٣", "AS", "AS" + "9" * 5000, None)),
]
GERMANY = (country("DE"), {"country": "DE"}, {"country": "Germany", "country_code": "DE"})
NOWHERE = (country("DEU"), country("D1"), country("ÄÖ"), {"country": {}}, {"country": 7}, {})
COUNTRY_RECORDS = [*((record, "country-de") for record in GERMANY), *((record, None) for record in NOWHERE)]


@pytest.mark.parametrize(
    ("read", "record", "name"),
    [*((asn_name, *each) for each in ASN_RECORDS), *((country_name, *each) for each in COUNTRY_RECORDS)],
)
def test_forms_of_a_record(read, record, name):
    assert read(record) == name


# Start-up


@KINDS
@pytest.mark.parametrize("content", [None, b"", b"nonsense" * 1000, b"\xab\xcd\xefMaxMind.com", "cut", "scrambled"])
def test_other_file_names_the_setting(tmp_path, file, kind, content):
    bad = tmp_path / "bad.mmdb"
    sound = file.read_bytes()
    if content == "cut":
        content = sound[:-20]
    if content == "scrambled":  # the tree points past the end
        content = b"\xff" * (len(sound) // 2) + sound[len(sound) // 2 :]
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(SettingsError, match=f"^{kind.setting}: "):
        GeoDatabase(bad, kind)


def test_wrong_and_huge_databases_are_refused(tmp_path, monkeypatch):
    everywhere = {f"{n}.0.0.0/8": country("DE") for n in range(11, 20)}
    file = database(tmp_path / "c.mmdb", everywhere)
    with pytest.raises(SettingsError, match=r"^abuse\.asn_database: .*holds no autonomous system numbers"):
        GeoDatabase(file, ASN)
    monkeypatch.setattr(geo, "MAX_BYTES", 10)
    with pytest.raises(SettingsError, match="larger than"):
        GeoDatabase(file, COUNTRY)


# Later on


def refreshed(found: GeoDatabase) -> list[str]:
    with capture_logs() as said:
        found.refresh()
    return [each["event"] for each in said]


def test_changed_file_is_used(file):
    found = GeoDatabase(file, ASN)
    assert refreshed(found) == []
    database(file, {"93.184.216.0/24": asn(64501)}, type_="Newer")
    assert refreshed(found) == ["address_database_read"]
    assert (found.name(ADDRESS), found.state().type) == ("asn-64501", "Newer")
    assert refreshed(found) == []


@pytest.mark.parametrize("broken", [b"", b"nonsense" * 100])
def test_broken_file_changes_nothing(file, broken):
    found = GeoDatabase(file, ASN)
    file.write_bytes(broken)  # overwritten in place: a mapped file would end the process here
    assert refreshed(found) == ["address_database_kept"]
    assert (found.name(ADDRESS), found.state().why) == ("asn-64500", "not a sound MaxMind-format database")
    assert refreshed(found) == []
    database(file, {"93.184.216.0/24": asn(64501)})
    assert refreshed(found) == ["address_database_read"]
    assert (found.name(ADDRESS), found.state().why) == ("asn-64501", None)


def test_missing_file_comes_back(file):
    found = GeoDatabase(file, ASN)
    file.parent.rename(file.parent.with_name("away"))  # leaves the file itself as it was
    assert refreshed(found) == ["address_database_kept"]
    assert (found.name(ADDRESS), found.state().why) == ("asn-64500", "No such file or directory")
    assert refreshed(found) == []
    file.parent.with_name("away").rename(file.parent)
    assert refreshed(found) == ["address_database_read"]
    assert found.state().why is None


def test_file_changing_during_a_read(file, monkeypatch):
    found = GeoDatabase(file, ASN)
    database(file, {"93.184.216.0/24": asn(64501)})
    during_the_read(monkeypatch, lambda: file.write_bytes(file.read_bytes() + b"\x00"))
    assert (refreshed(found), found.name(ADDRESS)) == ([], "asn-64500")
    assert (refreshed(found), found.name(ADDRESS)) == (["address_database_read"], "asn-64501")


def test_damaged_record_counts_as_missing(file):
    found = GeoDatabase(file, ASN)

    class Damaged:
        def metadata(self):
            raise IndexError

        get = metadata

    found._reader = Damaged()
    with capture_logs() as said:
        assert (found.name(ADDRESS), found.name(V6_ADDRESS)) == (None, None)
    assert [(each["event"], each["why"]) for each in said] == [
        ("address_database_kept", "some of its records are damaged")
    ]
