from bench.faults import Fault, Phase
from bench.growth import Growth
from bench.keys import Keys
from bench.paced import Second
from bench.report import report
from bench.rounds import Results
from bench.sample import Load, Sample, Spread
from bench.workload import Operation

GET = Load(Operation.GET, Keys.UNIFORM)


def test_the_report_is_complete() -> None:
    """The report has conditions, figures, skipped systems, growth, disk and the fault."""
    results = Results(
        durability={"echo": "not stored", "ddb": "two nodes, fsync on both"},
        versions={"echo": "starlette 1", "ddb": "ddb 0.1"},
        skipped={"etcd": "etcd is not installed"},
        failed=["round 2: ddb, get uniform: 3 of 90 requests got an error"],
    )
    for name, cpu in (("echo", 40.0), ("ddb", 60.0)):
        results.add(GET, name, 1, Sample(1000, 1, 2, 3, cpu, 0.0))
    growth = Growth(
        nodes=results,
        memory={"3 nodes": [50 << 20, 60 << 20, 55 << 20]},
        counting=Spread(1.0, 2.0, 3.5),
        logical=100 << 20,
        running=150 << 20,
        compacted=120 << 20,
        users=1_000_000,
        fault=Fault(
            rate=4000,
            timeline=[
                (Phase.BEFORE, Second(0, [0.002] * 100)),
                (Phase.HANDOFF, Second(0, [0.003] * 100, refused=1)),
            ],
            hints=100_000,
            handoff_s=10.0,
            idle_hints=50_000,
            idle_handoff_s=2.0,
        ),
    )
    page = report(results, ["echo", "ddb", "etcd"], growth, 100_000, "wrk 4.1.0")
    for passage in (
        "100,000 users",
        "two nodes, fsync on both",
        "**etcd**: etcd is not installed",
        "1.50 (1.50 to 1.50)",
        "3 of 90 requests",
        "50 to 60",
        "1.20 bytes per byte of JSON",
        "2.0 (1.0 to 3.5) ms",
        "1.5 times** as much",
        "1 requests are refused or unanswered",
        "10,000 hints/s",
        "**25,000 hints/s**",
    ):
        assert passage in page, passage
