"""What is typed wrong is told like every other error: one line that says what and where, one that says what to do."""

import pytest

from tests.cli import run


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("pars",), "error: there is no command 'pars'\nhint: did you mean parse?\n"),
        (("xyz",), "error: there is no command 'xyz'\nhint: `logproc --help` lists what there is\n"),
        (("topics", "chekc"), "error: topics: there is no command 'chekc'\nhint: did you mean check?\n"),
        (("parse", "--colums", "path"), "error: parse: there is no option --colums\nhint: did you mean --columns?\n"),
        (("parse", "-z"), "error: parse: there is no option -z\nhint: `logproc parse --help` lists what there is\n"),
        (
            ("collect", "x"),
            "error: collect: --to URL is missing\nhint: it can also come from LOGPROC_COLLECT_TO or the settings file; "
            "`logproc collect --help` lists what there is\n",
        ),
        (
            ("schema", "check"),
            "error: schema check: --store is missing\nhint: it can also come from LOGPROC_STORE; "
            "`logproc schema check --help` lists what there is\n",
        ),
        (("state", "show"), "error: state show: DIR is missing\nhint: `logproc state show --help` lists what there is\n"),
        (("query", "SELECT 1", "--limit", "few"), "error: query: --limit 'few': a whole number, at least 0 was expected\n"),
        (("demo", "--seconds", "0"), "error: demo: --seconds '0': a whole number from 1 to 3600 was expected\n"),
        (("tail", "x.log", "--by", "host"), "error: tail: --by 'host': one of service, edge, subset, pod was expected\n"),
        (
            ("explain", "a", "b"),
            "error: explain: 'b' is more than it takes\nhint: a text with blanks has to stand in quotes\n",
        ),
        (("collect", "x", "--to"), "error: --to needs a value\nhint: `logproc --help` lists what there is\n"),
    ],
)  # fmt: skip
def test_an_error_of_usage_has_the_form_of_all_others(args: tuple[str, ...], said: str) -> None:
    done = run(*args)

    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", said)


@pytest.mark.parametrize("group", [(), ("topics",)])
def test_a_command_without_its_command_prints_its_help(group: tuple[str, ...]) -> None:
    done = run(*group)

    assert done.returncode == 2
    assert "\nCommands:\n" in done.stderr.decode()
