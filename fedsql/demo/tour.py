"""The questions that `fedsql demo` asks, each with what it shows. Texts only: the shell runs them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One question of the tour. ``noise``: it is asked of the hospitals that add noise; ``refused``: it must fail."""

    title: str
    why: str
    sql: str
    noise: bool = False
    refused: bool = False


INTRO = (
    "Three hospitals hold 20,190 person-years of the RAND Health Insurance Experiment: who saw a doctor, how often, and"
    " what it cost. Here all of them run in one process, each with its own keys, policy and ledger, and they exchange"
    " the very messages that a network would carry."
)
OFFERS = (
    "Each offers age, sex, health, ... to group by, visits, costs, ... to average, and keeps mental_health to itself."
)

_BY_HEALTH = """\
SELECT health, COUNT(DISTINCT person) AS persons,
       AVG(visits) AS visits, AVG(medical) AS dollars
FROM patients GROUP BY health"""

STEPS = (
    Step(
        "Averages over three hospitals",
        "The answer is exact, as if all rows lay in one table; what leaves a hospital are encrypted sums.",
        f"{_BY_HEALTH} ORDER BY dollars",
    ),
    Step(
        "What would this question reveal?",
        "EXPLAIN says beforehand who sends what and who learns what. It runs nothing and costs nothing.",
        f"EXPLAIN {_BY_HEALTH}",
    ),
    Step(
        "Groups that nobody listed",
        "The hospitals match group keys by keyed tags: the coordinator sees neither labels nor counts.",
        """\
SELECT age // 10 * 10 AS decade, COUNT(*) AS years,
       STDDEV(visits) AS spread, CORR(disease, visits) AS corr
FROM patients GROUP BY decade ORDER BY decade""",
    ),
    Step(
        "A small group stays hidden",
        "Two persons are 64 years old. Whether a group is large enough is decided on shares of its count, which"
        " nobody can read; its row is missing, and an age that nobody has would look the same.",
        "SELECT age, COUNT(*) AS years FROM patients\nWHERE age >= 60 GROUP BY age ORDER BY age",
    ),
    Step(
        "With noise",
        'The same files with noise = "required": each hospital adds its share of the noise before it encrypts,'
        " and charges the analyst's budget.",
        "SELECT sex, COUNT(*) AS years, AVG(visits) AS visits\nFROM patients GROUP BY sex HAVING sex IS NOT NULL",
        noise=True,
    ),
    Step(
        "A question that is refused",
        "Every hospital offers medical to sums and averages, none to conditions. The refusal names the owner, the"
        " column and the key of its file that decides.",
        "SELECT COUNT(*) FROM patients WHERE medical > 1000",
        refused=True,
    ),
)
