"""What a running coordinator and a running party take from a changed shared file, and what needs a new start."""

import pytest

from fedsql.errors import ConfigError


@pytest.mark.parametrize("who", ["coordinator", "north"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("localhost:", "127.0.0.1:"),
        ('name = "clinics"', 'name = "others"'),
        ("[coordinator]\n", '[coordinator]\noperator = "x"\n'),
    ],
)
def test_another_coordinator_or_name_needs_a_new_start(running, who, old, new):
    service = running.coordinator if who == "coordinator" else running.parties[who]
    text = running.shared.read_text()
    running.shared.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match="name or coordinator have changed: start the "):
        service.reload()
    running.shared.write_text(text)
    service.reload()


def test_another_root_in_a_file_of_its_own_needs_a_new_start(running):
    begin, _, rest = running.shared.read_text().partition('ca = """')
    pinned, _, end = rest.partition('"""')
    (running.folder / "ca.pem").write_text(pinned)
    running.shared.write_text(f'{begin}ca = "ca.pem"{end}')
    party = running.party("north")
    try:
        (running.folder / "ca.pem").write_text(pinned + pinned)
        with pytest.raises(ConfigError, match="start the party anew"):
            party.reload()
    finally:
        party.close()
