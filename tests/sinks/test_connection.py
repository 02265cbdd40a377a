"""What is sent to a store."""

import pyarrow as pa
import pytest

from sinks.connection import arrow_stream


def words(indices: list[int | None], dictionary: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(dictionary, pa.string()))


@pytest.mark.parametrize(
    ("indices", "dictionary", "arrives"),
    [
        ([0, None, 1, None], ["a", "b"], ["a", "", "b", ""]),
        ([0, None, 1, None], ["a", ""], ["a", "", "", ""]),
        ([None, None], [], ["", ""]),
        ([1, 0], ["a", "b"], ["b", "a"]),
    ],
)
def test_missing_words_are_sent_empty_and_each_word_once(
    indices: list[int | None], dictionary: list[str], arrives: list[str]
) -> None:
    """ClickHouse refuses a dictionary that has a word twice, and reads one without nulls in half the time."""
    for rows in (
        words(indices, dictionary),
        pa.concat_arrays([words([None], []), words(indices, dictionary)]).slice(1),
    ):
        sent = arrow_stream(pa.RecordBatch.from_arrays([rows], ["word"]), pa.ipc.IpcWriteOptions())
        (column,) = pa.ipc.open_stream(sent).read_all().column("word").chunks

        assert column.null_count == 0
        assert column.to_pylist() == arrives
        assert len(set(column.dictionary.to_pylist())) == len(column.dictionary)
