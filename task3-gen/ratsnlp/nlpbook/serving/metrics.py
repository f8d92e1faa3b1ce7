"""What is counted, for Prometheus: vLLM's names behind a prefix of ours, so that its dashboards can be used again."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

if TYPE_CHECKING:
    from .jobs import Job
    from .worker import Worker

__all__ = ["CONTENT_TYPE", "Metrics"]

PREFIX = "nlpbook:"
SECONDS = (.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2, 5, 7.5, 10, 20, 40, 80)
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Metrics:
    """Of one worker, in a registry of its own."""

    def __init__(self, worker: Worker):
        self.registry = CollectorRegistry()

        def make(kind, name, help, **more):
            return kind(PREFIX + name, help, registry=self.registry, **more)

        for name, help, count in (
                ("num_requests_running", "Requests that are being generated.", lambda: len(worker.engine.running)),
                ("num_requests_waiting", "Requests that wait in the queue.", lambda: len(worker.waiting))):
            make(Gauge, name, help).set_function(count)
        self.prompt_tokens = make(Counter, "prompt_tokens", "Tokens of prompts.")
        self.generation_tokens = make(Counter, "generation_tokens", "Tokens that were generated.")
        self.success = make(Counter, "request_success", "Requests that were answered.", labelnames=["finished_reason"])
        self.failure = make(Counter, "request_failure", "Requests that failed, or that their client left.",
                            labelnames=["reason"])
        self.first = make(Histogram, "time_to_first_token_seconds", "From the request to its first token.",
                          buckets=SECONDS)
        self.between = make(Histogram, "inter_token_latency_seconds", "From one token to the next.", buckets=SECONDS)
        self.whole = make(Histogram, "e2e_request_latency_seconds", "From the request to its end.", buckets=SECONDS)
        self.queued = make(Histogram, "request_queue_time_seconds", "In the queue.", buckets=SECONDS)
        self.prompts = make(Histogram, "request_prompt_tokens", "Tokens of a prompt.", buckets=TOKENS)
        self.written = make(Histogram, "request_generation_tokens", "Tokens that a request generated.", buckets=TOKENS)

    def count(self, job: Job) -> None:
        """Take in a job that has ended."""
        self.prompt_tokens.inc(job.prompt_length)
        self.generation_tokens.inc(job.new)
        if job.finish_reason is None:
            self.failure.labels(type(job.error).__name__ if job.error else "left").inc()
            return
        self.success.labels(job.finish_reason).inc()
        for histogram, value in ((self.first, job.times[0] - job.came), (self.whole, job.ended - job.came),
                                 (self.queued, job.begun - job.came), (self.prompts, job.prompt_length),
                                 (self.written, job.new)):
            histogram.observe(value)
        for one, other in itertools.pairwise(job.times):
            self.between.observe(other - one)

    def text(self) -> bytes:
        """In Prometheus's text format 0.0.4."""
        return generate_latest(self.registry)
