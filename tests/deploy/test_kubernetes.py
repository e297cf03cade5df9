"""Kubernetes manifests: valid fields, waiting for the release, probes, and limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.parts.processes import ROOT

K8S = ROOT / "deploy" / "k8s"
FILES = sorted(path for path in K8S.glob("*.yaml") if path.name != "secret.yaml")
DOCUMENTS: list[tuple[str, dict[str, Any]]] = [
    (path.name, document) for path in FILES for document in yaml.safe_load_all(path.read_text())
]
FIELDS = {
    "container": {"name", "image", "command", "env", "envFrom", "ports", "startupProbe", "livenessProbe"}
    | {"readinessProbe", "lifecycle", "resources", "securityContext", "volumeMounts"},
    "pod": {"automountServiceAccountToken", "terminationGracePeriodSeconds", "securityContext", "restartPolicy"}
    | {"topologySpreadConstraints", "initContainers", "containers", "volumes"},
    "probe": {"exec", "httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold"},
}


def pods() -> list[tuple[str, dict[str, Any]]]:
    """(name, pod spec) of each Deployment and Job."""
    found = [(d["metadata"]["name"], d) for _, d in DOCUMENTS if d["kind"] in ("Deployment", "Job")]
    return [(name, document["spec"]["template"]["spec"]) for name, document in found]


def containers() -> list[Any]:
    return [
        pytest.param(one, id=f"{name}-{one['name']}")
        for name, pod in pods()
        for one in [*pod.get("initContainers", []), *pod["containers"]]
    ]


def test_every_manifest_names_its_kind_and_the_kustomization_lists_them_all() -> None:
    for name, document in DOCUMENTS:
        assert {"apiVersion", "kind"} <= document.keys(), name
    [listed] = [document["resources"] for name, document in DOCUMENTS if name == "kustomization.yaml"]
    here = {path.name.replace("secret.example", "secret") for path in FILES} - {"kustomization.yaml"}
    assert set(listed) == here


@pytest.mark.parametrize("container", containers())
def test_every_container_has_resource_limits_a_read_only_root_and_no_root_user(container: dict[str, Any]) -> None:
    assert container.keys() <= FIELDS["container"], "a misspelt field is ignored by Kubernetes"
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container.get(probe, {}).keys() <= FIELDS["probe"]


@pytest.mark.parametrize(("name", "pod"), pods())
def test_every_pod_is_the_images_user_and_writes_only_to_tmp(name: str, pod: dict[str, Any]) -> None:
    assert pod.keys() <= FIELDS["pod"], name
    user = int(re.search(r"^USER (\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1])  # type: ignore[index]
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, user)
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]


@pytest.mark.parametrize("name", ["web", "worker", "clock"])
def test_no_process_starts_beside_an_unfinished_release(name: str) -> None:
    pod = dict(pods())[name]
    assert [one["command"][:3] for one in pod["initContainers"]] == [["python", "-m", "deploy.ready"]]


@pytest.mark.parametrize("name", ["web", "worker", "clock"])
def test_every_process_has_a_liveness_probe(name: str) -> None:
    [container] = dict(pods())[name]["containers"]
    assert "livenessProbe" in container
    if name != "web":
        [file] = [one["value"] for one in container["env"] if one["name"] == "HEARTBEAT_FILE"]
        assert file in container["livenessProbe"]["exec"]["command"][-1]
        assert any(Path(file).is_relative_to(mount["mountPath"]) for mount in container["volumeMounts"])


def test_every_setting_in_the_config_map_exists() -> None:
    [given] = [document["data"] for _, document in DOCUMENTS if document["kind"] == "ConfigMap"]
    documented = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert set(given) <= set(documented)
