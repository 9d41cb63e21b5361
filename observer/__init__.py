"""vrrp-observer: why a virtual IP moved, whether the move was warranted, and what it cost in connections.

The map of this house; data flows from left to right, and imports only from right to left::

    sources/  ->  wire/  ->  engine/  ->  rules/  ->  sinks/
    (input)       (pure)     (pure)       (pure)      (output)

model        values: time, observations, flaps, verdicts
wire         bytes to observations: link layers, IP, VRRP, ARP, ND; TCP control segments as columns
engine       observations to flaps: who is Active, who holds the address, what was reset, what was listened to
rules        one cause a file: from a view of a flap to a finding with its evidence
sources      capture sockets, netlink, capture files; merge puts them in order of time
sinks        Prometheus metrics, events as lines, the report of a replay
run          the one loop, for live and for replay
config       one frozen, validated configuration
cli          wiring only
"""

__version__ = "0.1.0"
