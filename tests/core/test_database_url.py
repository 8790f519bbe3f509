import pytest

from core import config as configs
from core.database_url import DatabaseUrl
from core.errors import DexmatchError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mysql://dex@db.example:3307/team", DatabaseUrl("dex", "db.example", 3307, "team")),
        ("mysql://dex@db/team_1", DatabaseUrl("dex", "db", 3306, "team_1")),
        ("mysql://d%40x@[::1]:1/t", DatabaseUrl("d@x", "::1", 1, "t")),
    ],
)
def test_what_a_url_names(text, expected):
    assert DatabaseUrl.parse(text) == expected
    assert DatabaseUrl.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mysql://dex:hunter2@db/team", "password in it, .* leave it out, .* MYSQL_PWD or run.met"),
        ("mysql://dex:@db/team", "password in it"),
        ("mysql://dex:hunter2@db:99999/", "password in it"),
        ("postgresql://dex:hunter2@db/team", "PostgreSQL will not do: .* use MySQL or MariaDB"),
        ("sqlite:///hunter2", 'must be "sqlite" or mysql://USER@HOST:PORT/DATABASE'),
        ("mysql://db/hunter2", 'must be "sqlite" or mysql://USER'),
        ("hunter2", 'must be "sqlite" or mysql://USER'),
        ("mysql://dex@db:http/hunter2", "a port from 1 to 65535"),
        ("mysql://dex@db/team?password=hunter2", "must end with the name of the database"),
        ("mysql://dex@db/hunter2;DROP", "a database of letters, digits and _"),
        ("mysql://dex@hunter2\u2100/team", 'must be "sqlite" or mysql://USER'),
        ("mysql://dex@[db/hunter2", 'must be "sqlite" or mysql://USER'),
    ],
)
def test_a_setting_that_is_no_url_is_told_without_being_repeated(text, told):
    """It may hold a password."""
    with pytest.raises(DexmatchError, match=f"^run: `metadata`: .*{told}") as caught:
        configs.load(None, [f"run.metadata={text}"])
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_file_without_a_server():
    with pytest.raises(DexmatchError, match="metadata_password_file` has no meaning with"):
        configs.load(None, ["run.metadata_password_file=password"])
