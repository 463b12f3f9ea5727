"""The XML dialect (spec/01): forms whose values are marshalled documents, right and wrong."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from urllib.parse import quote, quote_from_bytes, urlencode

from hypothesis import strategies as st

from slapos.wire import marshal
from tests.security.fuzz import values
from tests.security.fuzz.json_cases import claims
from tests.security.fuzz.target import Case

FORM = "application/x-www-form-urlencoded"
NODE, PARTITION = "computer_id", "computer_partition_id"
OF_PARTITION = (NODE, PARTITION)
OF_RELEASE = ("url", NODE)

READING: Mapping[str, tuple[str, ...]] = {
    "getFullComputerInformation": (NODE,),
    "getComputerInformation": (NODE,),
    "registerComputerPartition": ("computer_reference", "computer_partition_reference"),
    "getComputerPartitionCertificate": OF_PARTITION,
    "getHostingSubscriptionIpList": OF_PARTITION,
    "getComputerStatus": (NODE,),
    "getComputerPartitionStatus": OF_PARTITION,
    "getSoftwareInstallationStatus": OF_RELEASE,
    "getSoftwareReleaseListFromSoftwareProduct": ("software_product_reference", "software_release_url"),
    "getHateoasUrl": (),
    "getRunId": (),
}
WRITING: Mapping[str, tuple[str, ...]] = {
    "requestComputerPartition": (
        *OF_PARTITION,
        "software_release",
        "software_type",
        "partition_reference",
        "partition_parameter_xml",
        "filter_xml",
        "state",
        "shared_xml",
    ),
    "supplySupply": (*OF_RELEASE, "state"),
    "loadComputerConfigurationFromXML": ("xml",),
    "buildingSoftwareRelease": OF_RELEASE,
    "availableSoftwareRelease": OF_RELEASE,
    "destroyedSoftwareRelease": OF_RELEASE,
    "softwareReleaseError": (*OF_RELEASE, "error_log"),
    "startedComputerPartition": OF_PARTITION,
    "stoppedComputerPartition": OF_PARTITION,
    "destroyedComputerPartition": OF_PARTITION,
    "softwareInstanceError": (*OF_PARTITION, "error_log", "slave_reference"),
    "softwareInstanceBang": (*OF_PARTITION, "message"),
    "softwareInstanceRename": (*OF_PARTITION, "new_name", "slave_reference"),
    "setComputerPartitionConnectionXml": (*OF_PARTITION, "connection_xml", "slave_reference"),
    "updateComputerPartitionRelatedInstanceList": (*OF_PARTITION, "instance_reference_xml"),
    "computerBang": (NODE, "message"),
    "useComputer": (NODE, "use_string"),
    "requestComputer": ("computer_title",),
    "generateComputerCertificate": (NODE,),
    "revokeComputerCertificate": (NODE,),
}

BOMB = (
    b'<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(8))
    + b"]><marshal><string>&i;</string></marshal>"
)
OUTSIDE = b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><marshal><string>&x;</string></marshal>'
DOCUMENTS = (
    BOMB,
    OUTSIDE,
    b"",
    b"<marshal/>",
    b"<marshal><none/><none/></marshal>",
    b"<marshal><string>a</string>",
    b"<marshal>" + b"<list>" * 4_000 + b"</list>" * 4_000 + b"</marshal>",
    b'<marshal><object id="i2" module="os" class="system"><tuple><string>id</string></tuple><none/></object></marshal>',
    b'<marshal><object id="i2" module="slapos.slap.slap" class="Computer"><tuple/><none/></object></marshal>',
    b'<marshal><object id="i2" module="slapos.slap.slap" class="slap"><tuple/><dictionary id="i3"/></object></marshal>',
    b'<marshal><list id="i2"><reference id="i2"/></list></marshal>',
    b'<marshal><reference id="i9"/></marshal>',
    b"<marshal><int>1.5</int></marshal>",
    b"<marshal><int>" + b"9" * 100_000 + b"</int></marshal>",
    b"<marshal><bool>maybe</bool></marshal>",
    b"<marshal><float>nan</float></marshal>",
    b"<marshal><dictionary><list/><int>1</int></dictionary></marshal>",
    b"<marshal><dictionary><string>a</string></dictionary></marshal>",
    b"<marshal><string>&amp;lt;&amp;amp;&amp;#0;</string></marshal>",
    b"<marshal><string>&#0;</string></marshal>",
    b'<?xml version="1.0" encoding="utf-16"?><marshal><none/></marshal>',
    b"<unmarshal><none/></unmarshal>",
    "<marshal><string>é</string></marshal>".encode("latin-1"),
)

REPLIES: Mapping[str, st.SearchStrategy[object]] = {
    "partition_parameter_xml": st.dictionaries(values.texts, values.data, max_size=3),
    "connection_xml": st.dictionaries(values.texts, values.data, max_size=3),
    "filter_xml": st.dictionaries(
        st.sampled_from(("computer_guid", "instance_guid", "master_url", "retention_delay")) | values.texts,
        values.scalars,
        max_size=3,
    ),
    "state": values.states | st.none(),
    "shared_xml": st.booleans(),
    "instance_reference_xml": st.lists(values.titles, max_size=3),
    "xml": st.fixed_dictionaries(
        {"reference": values.nodes},
        optional={
            "address": values.texts,
            "netmask": values.texts,
            "partition_list": st.lists(
                st.fixed_dictionaries(
                    {"reference": values.partitions},
                    optional={"address_list": values.data, "tap": values.data, "capability_list": values.data},
                ),
                max_size=3,
            ),
        },
    ),
}
PLAIN: Mapping[str, st.SearchStrategy[str]] = {
    NODE: values.nodes,
    "computer_reference": values.nodes,
    PARTITION: values.partitions,
    "computer_partition_reference": values.partitions,
    "url": values.releases,
    "software_release": values.releases,
    "software_type": values.types,
    "state": values.supply_states,
    "partition_reference": values.titles,
    "new_name": values.titles,
    "slave_reference": values.guids | st.just("None"),
}


def _marshalled(value: object) -> bytes:
    try:
        return marshal.dumps(value)
    except Exception:  # noqa: BLE001  (what our writer refuses: sent as something else)
        return b"<marshal><string>x</string></marshal>"


@functools.cache
@st.composite
def documents(draw: st.DrawFn, field: str) -> bytes:
    """A marshalled value for a field: of the right kind, of any kind, damaged, or hostile."""
    if draw(values.one_in(12)):
        return draw(values.among(*DOCUMENTS))
    if draw(values.one_in(12)):
        return _marshalled(draw(values.data))
    document = _marshalled(draw(REPLIES[field]))
    return values.mutated(draw, document) if draw(values.one_in(12)) else document


@functools.cache
@st.composite
def forms(draw: st.DrawFn, endpoint: str, fields: tuple[str, ...]) -> bytes:
    """An encoded form: most fields right, some missing, twice, or too many."""
    pairs: list[bytes] = []
    for field in fields:
        if draw(values.one_in(30)):
            continue
        if endpoint == "requestComputerPartition" and field in OF_PARTITION and draw(values.one_in(2)):
            continue
        marshalled = field in REPLIES and not (endpoint == "supplySupply" and field == "state")
        value = draw(documents(field)) if marshalled else _plain(draw(PLAIN.get(field, values.texts)))
        pairs += [f"{field}=".encode() + quote_from_bytes(value).encode()] * (2 if draw(values.one_in(40)) else 1)
    if draw(values.one_in(40)):
        pairs.append(draw(values.among(b"&&=", b"x", b"=y", b"computer_id", b"%ff=%fe", b"a=%zz", b"a;b=c")))
    return b"&".join(pairs)


def _plain(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """One request of the XML dialect."""
    if draw(values.one_in(4)):
        endpoint = draw(values.among(*READING))
        query = draw(forms(endpoint, READING[endpoint])).decode("latin-1")
        verb = "POST" if draw(values.one_in(30)) else "GET"
        return Case(verb, f"/{endpoint}?{quote(query, safe='=&%+;')}" if query else f"/{endpoint}")
    endpoint = draw(values.among(*WRITING))
    body = draw(forms(endpoint, WRITING[endpoint]))
    headers = {"Content-Type": FORM}
    if draw(values.one_in(6)):
        headers["Authorization"] = draw(claims)
    if draw(values.one_in(30)):
        headers["Content-Type"] = draw(values.among("", "multipart/form-data; boundary=x", "application/json"))
    if draw(values.one_in(30)):
        body = values.mutated(draw, body)
    return Case("PUT" if draw(values.one_in(40)) else "POST", f"/{endpoint}", body, headers)


MODES = st.sampled_from(("search", "traverse", "root", "worklist")) | values.texts
ADDRESSES = st.sampled_from(("partitions/one", "computers/COMP-1", "shared/x", "../x")) | values.texts


@st.composite
def listings(draw: st.DrawFn) -> Case:
    """One request of the HATEOAS subset (spec/03)."""
    mode = draw(MODES)
    kind = draw(values.among("Instance Tree", "Compute Node", "Software Installation", "Software Instance"))
    query = f'portal_type:"{kind}" AND validation_state:validated'
    fate = draw(values.among(0, 1, 2, 3, 4))
    if fate == 0:
        query += f' AND title:="{draw(values.titles)}"'
    if fate == 1:
        query += f' AND reference:="{draw(values.nodes)}"'
    if fate == 2:
        query = draw(values.texts)
    choices = {
        "mode": mode,
        "query": query,
        "select_list": draw(values.among("title,url_string", "title,relative_url", "", "uid,nonsense")),
        "relative_url": draw(ADDRESSES),
        "view": draw(values.among("slaposjs_view", "", "x")),
        "limit": draw(values.among("40", "0", "-1", "x")),
    }
    chosen = {key: value for key, value in choices.items() if not draw(values.one_in(10))}
    path = draw(values.among("/hateoas/", "/hateoas", "/hateoas/partitions/one", "/hateoas/x/y"))
    return Case("GET", f"{path}?{urlencode(chosen, errors='surrogatepass')}", b"", {"Accept": "*/*"})
