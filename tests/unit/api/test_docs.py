import base64
import hashlib
import re

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_pages_work_offline(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "//" not in re.sub(r"/\*.*?\*/", "", answer.text).replace("<!--", "")
    references = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert references
    for reference in references:
        found = client.get(reference)
        assert (found.status_code, len(found.content) > 1000) == (200, True)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_policy_allows_their_own_scripts_and_nothing_from_elsewhere(client: TestClient, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    for script in re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


def test_they_follow_the_root_path(client: TestClient) -> None:
    client.app.root_path = "/behind/proxy"  # type: ignore[attr-defined]
    try:
        text = client.get("/docs").text
    finally:
        client.app.root_path = ""  # type: ignore[attr-defined]
    assert "/behind/proxy/openapi.json" in text
    assert 'src="/behind/proxy/docs-assets/swagger-ui-bundle.js"' in text
