"""A graceful restart under many WebSockets that echo: nobody loses an answer, nobody is refused.

`test/deploy/run.py` does the same with thousands, and prints figures.
"""

from harness.asyncclient import run
from harness.deploy import Deploy, configuration, exchanged
from harness.processes import many_descriptors

CLIENTS = {"event": 400, "worker": 60, "prefork": 24}
DRAIN = 3.0


def test_ws_490_01_a_deploy_costs_no_answer_and_refuses_nobody(make_httpd, mpm):
    """The clients themselves check each answer, each Close and each response to a request."""
    count = CLIENTS[mpm]
    with many_descriptors(2 * count + 500):
        workers = 32 if mpm == "event" else 3 * count
        server = make_httpd(mpm, configuration(DRAIN), workers=workers).start()
        outcome = run(Deploy(server, count, pause=0.1).run(), patience=100)
    # All are there, in new children; the old ones have gone.
    assert outcome.requests and outcome.final() and not outcome.final() & outcome.old
    # Whatever the plugin was given it has answered, and the answer has come.
    messages = exchanged(server, outcome)
    for name, seen in outcome.visits.items():
        assert messages[name] == (seen.answers, seen.answers), (name, seen, messages[name])
    # One after the other: the middle half of the closings takes about half of the time.
    told = outcome.told()
    assert len(told) == count
    begin, end = told[count // 4], told[count * 3 // 4]
    assert end - begin > DRAIN / 8, [round(after, 3) for after in told]
