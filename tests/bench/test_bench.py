"""The benchmark compares answers, so it can fail; what it writes is what it measured."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bench import peers, tables
from bench.calls import Answer, Asgi, Wrong, Wsgi, check, prepared
from bench.plot import plot
from bench.served import rate_of
from bench.worker import lifespan
from bench.workloads import WORKLOADS

PLAIN = {n: w for n, w in WORKLOADS.items() if w.app in {"plain", "hooked", "with_session"}}


@pytest.mark.parametrize("name", ["erlen", "raw"])
@pytest.mark.parametrize("workload", PLAIN.values(), ids=PLAIN)
async def test_a_peer_gives_the_answer_that_all_give(name, workload):
    if workload.name in peers.lacks(name):
        pytest.skip(peers.lacks(name)[workload.name])
    app = peers.build(name, workload.app)

    async with lifespan(app):
        ready = await prepared(Asgi(app), workload, getattr(peers.peer(name), "DIFFERENT", None))
        seconds = await Asgi(app).time(ready, 2)

    assert seconds > 0


@pytest.mark.parametrize("name", ["erlen", "raw"])
@pytest.mark.parametrize("kind", ["static", "dynamic", "miss"])
async def test_the_rule_in_the_middle_of_many_is_found(name, kind):
    app = peers.build(name, "routes500")

    async with lifespan(app):
        await prepared(Asgi(app), WORKLOADS[f"routes500_{kind}"])


async def test_a_wrong_answer_is_caught():
    app = peers.build("raw", "plain")

    with pytest.raises(Wrong, match=r"Hello, World!.* instead of b'Hello, Mars!'"):
        await prepared(Asgi(app), replace(WORKLOADS["plaintext"], answer=b"Hello, Mars!"))


async def test_a_wrong_wsgi_answer_is_caught():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    assert await prepared(Wsgi(app), replace(WORKLOADS["plaintext"], answer=b"/"))
    with pytest.raises(Wrong, match="instead of"):
        await prepared(Wsgi(app), WORKLOADS["plaintext"])


def test_another_status_or_header_is_a_wrong_answer():
    hooks = WORKLOADS["hooks"]
    good = Answer(200, [("x-after", "1")], hooks.answer)

    check(hooks, good)
    with pytest.raises(Wrong, match="status 201 instead of 200"):
        check(hooks, replace(good, status=201))
    with pytest.raises(Wrong, match="x-after: '' instead of '1'"):
        check(hooks, replace(good, headers=[]))


def test_only_what_is_documented_may_differ():
    json = WORKLOADS["json"]
    ends = Answer(200, [("content-type", "application/json")], json.answer + b"\n")

    check(json, ends, peers.peer("erlen").DIFFERENT)
    with pytest.raises(Wrong):
        check(json, ends)


def test_a_server_that_answers_with_errors_is_not_a_fast_server():
    good = "Requests/sec:  41592.10\n"

    assert rate_of(good, expect_errors=False) == 41592.1
    for bad in (
        good + "  Non-2xx or 3xx responses: 12\n",
        good + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
        "unable to connect",
    ):
        with pytest.raises(SystemExit, match="not answered as expected"):
            rate_of(bad, expect_errors=False)


RESULTS = {
    "in process": {
        "json": {n: {"min": t, "median": 9.0} for n, t in [("erlen", 4.0), ("falcon", 3.0)]}
    },
    "served": {"json": {"erlen": 100.0, "falcon": 50.0, "raw": 200.0}},
}


def test_ratios_say_how_often_the_time_of_erlen_fits():
    assert tables.ratios_of(tables.times_of(RESULTS)) == {"json": {"erlen": 1.0, "falcon": 0.75}}
    rates = tables.rates_of(RESULTS)
    assert tables.ratios_of(rates, rates=True)["json"] == {"erlen": 1.0, "falcon": 2.0, "raw": 0.5}


def test_what_is_not_won_is_told_with_its_reason():
    told = tables.not_won(RESULTS, {"json": "its encoder is compiled"})

    assert "| JSON | in process | falcon 0.75 | its encoder is compiled |" in told
    assert "over a server" not in told


def test_the_drawing_has_a_dot_for_every_ratio():
    drawing = plot({"JSON": {"erlen": 1.0, "falcon": 0.75, "flask": 20.0}}, ["erlen"], "Ratios")

    titles = [e.text for e in ElementTree.fromstring(drawing).iter() if e.tag.endswith("title")]
    assert titles == ["Ratios", "erlen: 1.00", "falcon: 0.75", "flask: 20.00"]
