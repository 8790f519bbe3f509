"""What containers may use: processors, memory and accelerators, for all of them or for one."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import DexmatchError

_ALL = ""
_CPU = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>m?)")
_MEMORY = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>([EPTGMK]i?)?)")
_ACCELERATOR = re.compile(r"(?P<type>[A-Za-z0-9][A-Za-z0-9_./-]*)(:(?P<count>[1-9]\d*))?")
_POWERS = {prefix: power for power, prefix in enumerate("KMGTPE", start=1)}


@dataclass(frozen=True)
class Resources:
    """Limits as Kubernetes writes them, by component; those of "" are for all others.

    Attributes:
      cpu: processors, such as "4" or "500m".
      memory: such as "16G".
      accelerators: type and count, such as "NVIDIA_L4:1".
    """

    cpu: Mapping[str, str]
    memory: Mapping[str, str]
    accelerators: Mapping[str, str]

    @classmethod
    def asked(
        cls, cpu: Sequence[str], memory: Sequence[str], accelerators: Sequence[str]
    ) -> "Resources":
        """From the words of a command line, as in ["4", "Trainer=16"].

        Raises:
          DexmatchError: a word is no such limit, or there are two for a component.
        """
        return cls(
            cpu=_by_component("--cpu", cpu, _CPU, "4, 500m or Trainer=16"),
            memory=_by_component("--memory", memory, _MEMORY, "16G, 512Mi or Trainer=64G"),
            accelerators=_by_component(
                "--accelerator",
                accelerators,
                _ACCELERATOR,
                "Trainer=NVIDIA_L4:1 or Trainer=nvidia.com/gpu",
            ),
        )

    def check(self, components: Collection[str]) -> None:
        """Raises a DexmatchError if one is for a component that is not there."""
        for asked in (self.cpu, self.memory, self.accelerators):
            for component in asked:
                if component != _ALL and component not in components:
                    raise DexmatchError(
                        f"{component}: the pipeline has no such component; it has "
                        f"{', '.join(components)}"
                    )

    def of(self, component: str) -> dict[str, Any]:
        """A ResourceSpec of Kubeflow's as JSON; empty where there are no limits.

        It says everything twice: Vertex AI reads the numbers, Kubeflow the text.
        """
        found: dict[str, Any] = {}
        if cpu := self.cpu.get(component, self.cpu.get(_ALL)):
            found |= {"cpuLimit": _cores(cpu), "resourceCpuLimit": cpu}
        if memory := self.memory.get(component, self.memory.get(_ALL)):
            found |= {"memoryLimit": _gigabytes(memory), "resourceMemoryLimit": memory}
        if accelerator := self.accelerators.get(component, self.accelerators.get(_ALL)):
            kind, _, number = accelerator.partition(":")
            count = number or "1"
            found["accelerator"] = {
                "type": kind,
                "count": count,
                "resourceType": kind,
                "resourceCount": count,
            }
        return found


def _by_component(
    option: str, asked: Sequence[str], pattern: re.Pattern[str], example: str
) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in asked:
        component, _, limit = word.rpartition("=")
        if not pattern.fullmatch(limit) or (not component and "=" in word):
            raise DexmatchError(f"{option} {word}: say something like {example}")
        if component in found:
            raise DexmatchError(f"{option} {word}: {found[component]} was said before")
        found[component] = limit
    return found


def _cores(cpu: str) -> float:
    found = _CPU.fullmatch(cpu)
    assert found is not None
    return float(found["number"]) / (1000 if found["unit"] else 1)


def _gigabytes(memory: str) -> float:
    found = _MEMORY.fullmatch(memory)
    assert found is not None
    unit = found["unit"]
    base = 1024 if unit.endswith("i") else 1000
    return float(found["number"]) * base ** _POWERS.get(unit[:1], 0) / 1e9
