"""`bifrost tree` and `bifrost status`: what a running gateway is made of and how it is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bifrost.cli.exit_code import ExitCode
from bifrost.cli.output import add_gateway_options, device_rows, gateway_address, print_columns, print_json
from bifrost.gateway.control.client import ask_gateway

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_commands"]


def add_commands(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tree` and `status` to the command line."""
    tree = commands.add_parser(
        "tree",
        help="show a running gateway's supervision tree",
        description="Show every actor of a running gateway: state, incarnations, waiting messages, last crash.",
    )
    add_gateway_options(tree)
    tree.set_defaults(command=_tree)
    status = commands.add_parser(
        "status",
        help="show a running gateway's devices, buffer and uplinks",
        description="Show devices and the quality of their tags, pipelines, the buffer's depth, uplinks.",
    )
    add_gateway_options(status)
    status.add_argument("--values", action="store_true", help="show every device's latest values, too")
    status.set_defaults(command=_status)


def _tree(options: argparse.Namespace) -> int:
    tree = ask_gateway(gateway_address(options), "tree", timeout=options.timeout)
    if options.json:
        print_json(tree)
    else:
        _print_actor(tree, "", "")
    return ExitCode.OK


def _print_actor(actor: dict[str, Any], indent: str, branch: str) -> None:
    facts = [str(actor["state"])]
    if actor["restarts"]:
        facts.append(f"{actor['restarts']} restarts")
    if actor["mailbox_depth"]:
        facts.append(f"{actor['mailbox_depth']} waiting")
    if actor["last_crash"]:
        facts.append(f"last crash: {actor['last_crash']}")
    print(f"{indent}{branch}{actor['id']}  {', '.join(facts)}")
    below = indent + {"": "", "├── ": "│   ", "└── ": "    "}[branch]
    for number, child in enumerate(actor["children"], start=1):
        _print_actor(child, below, "└── " if number == len(actor["children"]) else "├── ")


def _status(options: argparse.Namespace) -> int:
    status = ask_gateway(gateway_address(options), "status", {"values": options.values}, timeout=options.timeout)
    if options.json:
        print_json(status)
        return ExitCode.OK
    print(f"gateway {status['name']}: {_buffer(status['wal'])}")
    print_columns(device_rows(status["devices"]))
    print_columns([("PIPELINE", "STATE", "ROWS IN", "ANOMALIES", "DEVICES"), *map(_pipeline, status["pipelines"])])
    if options.values:
        print_columns([("TAG", "VALUE", "STATUS", "ERROR"), *_values(status["devices"])])
    print_columns([("UPLINK", "STATE", "DELIVERED", "WAITING", "ERROR"), *map(_uplink, status["uplinks"])])
    return ExitCode.OK


def _buffer(wal: dict[str, Any] | None) -> str:
    if wal is None:
        return "the buffer is being reopened"
    return f"{wal['rows']} rows wait in the buffer, {wal['file_bytes'] + wal['wal_bytes']} bytes on disk"


def _values(devices: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    readings = [value for device in devices for value in (device["details"] or {"values": []})["values"]]
    return [(value["tag"], str(value["value"]), f"0x{value['status']:08x}", value["error"] or "") for value in readings]


def _pipeline(pipeline: dict[str, Any]) -> tuple[str, ...]:
    stages = pipeline["stages"]
    rows_in = stages[0]["rows_in"] if stages else 0
    anomalies = sum(stage["anomalies"] for stage in stages)
    return (pipeline["name"], pipeline["state"], str(rows_in), str(anomalies), ", ".join(pipeline["devices"]))


def _uplink(uplink: dict[str, Any]) -> tuple[str, ...]:
    figures = uplink["statistics"] or {"delivered_rows": "-", "backlog_records": "-"}
    delivered, waiting = f"{figures['delivered_rows']} rows", f"{figures['backlog_records']} records"
    return (uplink["name"], uplink["state"], delivered, waiting, uplink["error"])
