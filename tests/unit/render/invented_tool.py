"""The module of a tool that is invented: what a new tool needs beside its definition."""

from kraftd.render.tools import configuration_path


def arguments(plan, tool):
    return (*plan.marker(tool.name).arguments, f"--listen={tool.host}:{tool.port}")


def files(plan, tool, monitoring):
    return {configuration_path(plan, tool): f"kafka: {plan.access.bootstrap_servers}\nrules: {len(monitoring.rules)}\n"}
