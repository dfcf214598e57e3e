"""The metrics of the bank's own: the ledger, the channels and the plugins."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from zhihui.instruments.families import Rows, counter, gauge
from zhihui.instruments.snapshot import Snapshot

__all__ = ("bank_families",)


def bank_families(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield every family of the bank, each also when it has no samples yet."""
    yield from _ledger(snapshot)
    yield from _channels(snapshot)
    yield from _plugins(snapshot)


def _ledger(snapshot: Snapshot) -> Iterator[Metric]:
    ledger = snapshot.statistics.ledger
    look = None if snapshot.database is None else snapshot.database.ledger
    imbalance = [(("written",), float(ledger.imbalance_minor))]
    checked = []
    if look is not None:
        imbalance += [(("balances",), look.balances_minor), (("changes",), look.changes_minor)]
        checked = [(("balances",), look.at_s), (("changes",), look.at_s)]
    yield gauge(
        "zhihui_ledger_imbalance_minor_units",
        "By how much the books miss zero; must be 0. written: all entries that this process wrote; "
        "balances: all balances in Postgres by asset; changes: the entries of the newest changes "
        "by change and asset.",
        imbalance,
        ("check",),
    )
    yield gauge(
        "zhihui_ledger_check_timestamp_seconds",
        "When Postgres was last asked for it.",
        checked,
        ("check",),
    )
    yield gauge(
        "zhihui_ledger_check_duration_seconds",
        "How long the last look at the ledger took.",
        [] if look is None else look.duration_s,
    )
    yield counter("zhihui_ledger_postings_total", "Postings committed here.", ledger.postings)
    yield gauge(
        "zhihui_ledger_in_memory",
        "Accounts, holds and tallies in the journal's memory.",
        [
            (("account",), ledger.accounts), (("hold",), ledger.holds),
            (("tally",), ledger.tallies),
        ],
        ("what",),
    )  # fmt: skip
    yield counter(
        "zhihui_ledger_loads_total", "Those fetched because they were not there.", ledger.loads
    )


def _channels(snapshot: Snapshot) -> Iterator[Metric]:
    desk, router = snapshot.statistics.channels, snapshot.statistics.router
    orders = () if snapshot.database is None else snapshot.database.orders
    yield counter(
        "zhihui_channel_exchanges_total",
        "Exchanges with payment channels, by what they came to.",
        [((outcome,), count) for outcome, count in sorted(desk.outcomes.items())],
        ("outcome",),
    )
    yield counter(
        "zhihui_channel_callbacks_total",
        "Callbacks of channels, by what was done with them.",
        [
            (("taken",), desk.callbacks), (("refused",), desk.callbacks_refused),
        ],
        ("result",),
    )  # fmt: skip
    yield counter(
        "zhihui_channel_late_successes_total",
        "Payments that a channel made after they were given up, and that were given back.",
        desk.late_successes,
    )
    yield gauge(
        "zhihui_channel_orders_open",
        "Orders whose outcome is not known yet; from the node that owns the journal.",
        [((one.channel, one.kind), one.open) for one in orders],
        ("channel", "kind"),
    )
    yield gauge(
        "zhihui_channel_oldest_open_order_seconds",
        "Age of the oldest of them.",
        [((one.channel, one.kind), one.oldest_s) for one in orders],
        ("channel", "kind"),
    )
    yield counter(
        "zhihui_channel_choices_total",
        "Decisions of the router, by channel.",
        [((one.channel,), one.chosen) for one in router.channels],
        ("channel",),
    )
    yield counter(
        "zhihui_channel_without_choice_total",
        "Decisions for which no channel was left.",
        router.without_channel,
    )
    yield gauge(
        "zhihui_channel_breaker_open",
        "1 while the router keeps payments from a channel, 0.5 while it probes.",
        [
            ((one.channel,), {"closed": 0.0, "half_open": 0.5, "open": 1.0}[one.breaker])
            for one in router.channels
        ],
        ("channel",),
    )
    yield gauge(
        "zhihui_channel_success_ratio",
        "Share of successes over the router's window.",
        [((one.channel,), one.success_rate) for one in router.channels],
        ("channel",),
    )


def _plugins(snapshot: Snapshot) -> Iterator[Metric]:
    plugins = snapshot.statistics.plugins
    slots, registry, convergence = plugins.registry.plugins, plugins.registry, plugins.convergence
    yield gauge(
        "zhihui_plugin_generation",
        "Generation of a plugin in each role; 0 for none.",
        [
            ((slot.plugin, role), number)
            for slot in slots
            for role, number in (
                ("promoted", slot.promoted), ("previous", slot.previous), ("canary", slot.canary),
            )
        ],
        ("plugin", "role"),
    )  # fmt: skip
    yield gauge(
        "zhihui_plugin_paused",
        "1 while an operator has paused a plugin.",
        [((slot.plugin,), slot.paused) for slot in slots],
        ("plugin",),
    )
    yield counter(
        "zhihui_plugin_rollbacks_total",
        "Times that a plugin went back to the generation before.",
        [((slot.plugin,), slot.rollbacks) for slot in slots],
        ("plugin",),
    )
    yield counter(
        "zhihui_plugin_turns_total",
        "Turns of a generation, by outcome; begun counts all.",
        _turns(snapshot),
        ("plugin", "generation", "outcome"),
    )
    yield gauge(
        "zhihui_plugin_window_faults",
        "Turns that failed in the window after which a generation is rolled back.",
        [
            ((slot.plugin, str(one.generation)), one.guard.faults)
            for slot in slots
            for one in slot.generations
        ],
        ("plugin", "generation"),
    )
    yield counter("zhihui_plugin_loads_total", "Generations loaded.", registry.loaded)
    yield counter(
        "zhihui_plugin_load_failures_total", "Generations not loaded.", registry.load_failures
    )
    yield gauge("zhihui_plugin_plan", "Version of the plan that is followed.", convergence.planned)
    yield gauge(
        "zhihui_plugin_plan_followed", "1 when nothing of it is left to do.", convergence.converged
    )
    yield gauge(
        "zhihui_plugin_troubles", "Steps that failed and come again.", len(convergence.troubles)
    )
    yield counter(
        "zhihui_plugin_leaks_total", "Unloaded generations still in memory.", convergence.leaked
    )


def _turns(snapshot: Snapshot) -> Rows:
    for slot in snapshot.statistics.plugins.registry.plugins:
        for one in slot.generations:
            turns = one.turns
            for outcome, count in (
                ("begun", turns.begun), ("busy", turns.refused_busy),
                ("timed_out", turns.timed_out), ("cut_off", turns.cut_off), ("slow", turns.slow),
            ):  # fmt: skip
                yield (slot.plugin, str(one.generation), outcome), count
