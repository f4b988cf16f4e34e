"""The Kubernetes manifest: valid by Kubernetes' own schemas, and about the processes and settings that there are."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import running_servers
import yaml
from deliveries import event, signed
from raw_http import ask
from systems import webhook_environment
from world import World

from reconciler.process.settings import SECRETS, Api, Sync, Webhook

MANIFEST = Path(__file__).parents[2] / "deploy" / "kubernetes.yaml"
VERSIONS = ("1.31", "1.37")

ITEMS: list[dict[str, Any]] = yaml.safe_load(MANIFEST.read_text())["items"]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [item for item in ITEMS if item["kind"] == kind]


def pods() -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in of_kind("Deployment") + of_kind("Job")]


def containers() -> list[dict[str, Any]]:
    return [pod["containers"][0] for pod in pods()]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item['kind']} {item['metadata']['name']}")
def test_every_item_is_what_kubernetes_takes(item: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(item, version, strict=True)


def test_its_settings_are_settings_and_its_secrets_are_files() -> None:
    known = {name.upper() for model in (Sync, Api, Webhook) for name in model.model_fields}
    for name in of_kind("ConfigMap")[0]["data"]:
        assert name in known | {f"{secret}_FILE" for secret in SECRETS}, name
        assert name not in SECRETS


def test_no_setting_is_taken_from_a_service_of_the_same_name() -> None:
    # Kubernetes would set API_PORT=tcp://… for a service that is called api.
    assert all(pod["enableServiceLinks"] is False for pod in pods())


def test_it_runs_the_processes_with_a_budget_of_disruption_each() -> None:
    commands = {" ".join(each["command"]) for each in containers()}
    assert commands == {f"python -m {name}" for name in ("api", "webhook", "reconciler", "reconciler db init")}
    covered = {item["spec"]["selector"]["matchLabels"]["app"] for item in of_kind("PodDisruptionBudget")}
    assert covered == {item["metadata"]["name"] for item in of_kind("Deployment")}
    for item in of_kind("Deployment"):
        assert item["spec"]["replicas"] > 1, "a budget of disruption with one pod would stop every drain"


def test_its_receiver_takes_deliveries_at_its_url_and_answers_its_probes(world: World, tmp_path: Path) -> None:
    settings = of_kind("ConfigMap")[0]["data"]
    url = settings["HUBSPOT_WEBHOOK_URL"]
    (container,) = [each for each in containers() if each["command"][-1] == "webhook"]
    with running_servers.server(
        "webhook", webhook_environment(world, HUBSPOT_WEBHOOK_URL=url), tmp_path / "log"
    ) as webhook:
        delivery = signed([event(101)], url=url)
        headers = {name: str(value) for name, value in delivery.items() if name != "data"}
        assert ask(webhook.port, "POST", urlsplit(url).path, delivery["data"], **headers)[0] == 204
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert ask(webhook.port, "GET", container[probe]["httpGet"]["path"])[0] == 200


def test_nothing_runs_with_more_rights_than_it_needs() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers():
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
