"""Who may ask the app: pages of other sites may not, whatever name they have given it."""

import pytest

HOST = "127.0.0.1:8601"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8601", "127.0.0.1.evil.example", ""]
)
def test_another_name_is_refused(shared, host):
    # A site whose name was made to mean this machine would be asked by it.
    answer = shared.web.get("state", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"][:20]) == (403, "this app is not know")


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "[::1]:8601", "192.168.1.5:8601"])
def test_localhost_and_addresses_are_known(shared, host):
    assert shared.web.get("state", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8602"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_what_another_page_sends_is_refused(shared, pictures, headers):
    headers = {"Host": HOST, **headers}
    for answer in (
        shared.web.post("pictures", content=pictures["rgb.png"], headers=headers),
        shared.web.get("state", headers=headers),
    ):
        assert (answer.status_code, answer.json()["error"]) == (
            403,
            "sent by a page of another site",
        )


def test_its_own_page_and_a_link_from_elsewhere_are_not(shared):
    own = {"Host": HOST, "Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}
    assert shared.web.get("state", headers=own).status_code == 200
    visit = {"Host": HOST, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert shared.web.get(shared.url, headers=visit).status_code == 200


def test_a_form_cannot_send_a_verdict(shared):
    answer = shared.web.post("verdicts", content="{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["", "app.js", "api/state", "api/score", "nothing"])
def test_every_answer_has_the_headers(shared, path):
    headers = shared.web.get(f"{shared.url}/{path}").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
