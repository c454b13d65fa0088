"""Text as data: vocabularies, byte pairs, files of text, pairs of lines and treebanks; and what bad ones are told."""

import gzip
import json
import sys

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, data, nn
from pellucid.data import BytePairs, DataError, Vocabulary

ENGLISH = ["A dog runs.", "The dog sleeps, and it's well-fed.", "the cat runs"]


def fails(call, *parts):
    """The call raises a DataError whose message has all these parts."""
    with pytest.raises((ArgumentError, DataError)) as caught:
        call()
    for part in parts:
        assert str(part) in str(caught.value), f"{part!r} is not in: {caught.value}"


# ---- vocabularies -------------------------------------------------------------------------------------------------


def test_characters_by_count_then_code():
    v = Vocabulary("hello", special=())
    assert v.tokens == ("l", "e", "h", "o") and len(v) == 4
    assert (v.padding, v.unknown, v.start, v.end) == (None, None, None, None)
    numbers = v.encode("hello")
    assert numbers.dtype == np.int32 and numbers.tolist() == [2, 1, 0, 0, 3]
    assert v.decode(numbers) == "hello"


def test_special_tokens_come_first_and_padding_is_0():
    v = Vocabulary("ab", special=("<end>", "<pad>"))  # in whatever order they are named
    assert v.tokens == ("<pad>", "<end>", "a", "b")
    assert (v.padding, v.end, v.start, v.unknown) == (0, 1, None, None)
    whole = Vocabulary("ab")
    assert [whole.padding, whole.unknown, whole.start, whole.end] == [0, 1, 2, 3]
    assert whole.encode("abc", start=True, end=True).tolist() == [2, 4, 5, 1, 3]
    assert whole.decode([2, 4, 5, 1, 3, 0, 0]) == "ab<unk>"


def test_words():
    v = Vocabulary(ENGLISH, level="words", lower=True, special=("<unk>",))
    assert v.split("It's a well-fed dog, isn’t it?") == ["it's", "a", "well-fed", "dog", ",", "isn’t", "it", "?"]
    assert v.tokens[:4] == ("<unk>", ".", "dog", "runs")
    assert v.decode(v.encode("The DOG barks.")) == "the dog <unk> ."
    assert "The" in Vocabulary(ENGLISH, level="words").tokens


def test_rare_tokens_are_left_out():
    assert Vocabulary(ENGLISH, level="words", lower=True, min_count=2, special=()).tokens == (".", "dog", "runs", "the")
    assert Vocabulary(ENGLISH, level="words", lower=True, max_tokens=2, special=()).tokens == (".", "dog")
    fails(lambda: Vocabulary("abc", min_count=2), "none of 3 tokens occurs 2 times")


def test_texts_that_are_split_already():
    tags = Vocabulary([["DET", "NOUN"], ["NOUN", "<pad>"]], level="words", special=("<pad>",))
    assert tags.tokens == ("<pad>", "NOUN", "<pad>", "DET")  # a word of the text, whatever it looks like
    assert tags.encode(["DET", "NOUN", "<pad>"]).tolist() == [3, 1, 2]
    assert tags.decode([3, 1]) == "DET NOUN"


def test_text_never_makes_special_tokens():
    v = Vocabulary(["<start> a"], level="words")
    assert not {v.start, v.padding, v.end} & set(v.encode("<start> <pad> a <end>").tolist())


@pytest.mark.parametrize("level, text, place", [("characters", "hexlo", "'x' (character 2)"),
                                                ("words", "hello you there", "'you' (word 1)")])  # fmt: skip
def test_tokens_outside_the_vocabulary(level, text, place):
    v = Vocabulary("hello there", level=level, special=("<pad>",))
    fails(lambda: v.encode(text), place, f"not in the vocabulary of {len(v) - 1} {level}", "special=('<unk>',)")


MAKE = {
    "words": lambda: Vocabulary(ENGLISH, level="words", lower=True, special=("<pad>", "<unk>")),
    "characters": lambda: Vocabulary("Adog "),
    "byte pairs": lambda: pytest.importorskip("tokenizers") and BytePairs(ENGLISH, vocab_size=280),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=list(MAKE))
def test_json(make):
    first = make()
    again = type(first).from_json(json.loads(json.dumps(first.to_json())))
    assert again == first and hash(again) == hash(first) and again.tokens == first.tokens
    assert again.encode("A dog").tolist() == first.encode("A dog").tolist()
    assert again != Vocabulary("other")
    for name in first.to_json():
        fails(lambda name=name: type(first).from_json(first.to_json() | {name: None}), "from_json", name)
    fails(lambda: type(first).from_json("text"), "from_json takes what", "to_json gave")


def test_json_that_is_damaged():
    values = Vocabulary("hello").to_json()
    fails(lambda: Vocabulary.from_json(values | {"tokens": ["a", "a"]}), "occur twice")
    fails(lambda: Vocabulary.from_json(values | {"tokens": ["a", 1]}), "no text")
    fails(lambda: Vocabulary.from_json(values | {"level": "verses"}), "level is unknown")
    fails(lambda: Vocabulary.from_json(values | {"special": ["<x>"]}), "'<x>'")


def test_a_saved_model_carries_it(tmp_path):
    v = Vocabulary("hello")
    model = pel.Model(nn.Dense(2), loss="mse", input_shape=(3,))
    model.notes["vocabulary"] = v.to_json()
    model.save(tmp_path / "m.pel")
    assert Vocabulary.from_json(pel.load(tmp_path / "m.pel").notes["vocabulary"]) == v


BAD = {
    "level": (lambda: Vocabulary("a", level="lines"), "'lines'", "'characters' or 'words'"),
    "special": (lambda: Vocabulary("a", special=["<eos>"]), "'<eos>'", "<pad>, <unk>, <start>, <end>"),
    "min_count": (lambda: Vocabulary("a", min_count=0), "min_count must be a whole number >= 1, got 0"),
    "max_tokens": (lambda: Vocabulary("a", max_tokens=-1), "max_tokens must be"),
    "no text": (lambda: Vocabulary([]), "the texts are empty"),
    "numbers": (lambda: Vocabulary([[1, 2]]), "text or lists of text, got 1"),
    "no start": (lambda: Vocabulary("a", special=()).encode("a", start=True), "has no token '<start>'"),
    "decode outside": (lambda: Vocabulary("a").decode([4, 5]), "5 at place 1 is no token", "0..4"),
    "decode negative": (lambda: Vocabulary("a").decode([-1]), "-1 at place 0"),
    "decode floats": (lambda: Vocabulary("a").decode([0.5]), "whole numbers (T,), got float64"),
    "decode two": (lambda: Vocabulary("a").decode([[4], [4]]), "shape (2, 1)", "one sequence after the other"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=list(BAD))
def test_bad_vocabularies(case):
    fails(*case)


# ---- byte pairs ---------------------------------------------------------------------------------------------------


def test_byte_pairs():
    pytest.importorskip("tokenizers")
    pieces = BytePairs(ENGLISH, vocab_size=270)
    assert 259 < len(pieces) <= 270 and pieces.tokens[:3] == ("<pad>", "<start>", "<end>")
    for text in ("The dog  sleeps\n", "Größe 猫 <pad><end>", ""):  # spaces, bytes it has not seen, what looks special
        numbers = pieces.encode(text, start=True, end=True)
        assert numbers.dtype == np.int32 and (numbers[0], numbers[-1]) == (1, 2)
        assert not len(numbers[1:-1]) or numbers[1:-1].min() >= 3
        assert pieces.decode(numbers) == text
    assert len(pieces.encode("The dog")) < len("The dog") == len(BytePairs("x", vocab_size=259).encode("The dog"))
    lower = BytePairs(ENGLISH, vocab_size=270, lower=True)
    assert lower.decode(lower.encode("The Dog")) == "the dog"
    assert BytePairs(ENGLISH, vocab_size=270) == pieces != lower


def test_bad_byte_pairs(monkeypatch):
    pytest.importorskip("tokenizers")
    fails(
        lambda: BytePairs(ENGLISH, vocab_size=200),
        "vocab_size must be 259 or more",
        "256 bytes and 3 special tokens, got 200",
    )
    fails(lambda: BytePairs(ENGLISH, special=("<unk>",)), "leave '<unk>' out")
    fails(lambda: BytePairs([["a", "b"]], vocab_size=300), "BytePairs takes text, got list")
    pieces = BytePairs(ENGLISH, vocab_size=260)
    fails(lambda: BytePairs.from_json(pieces.to_json() | {"tokenizer": {}}), "the description is damaged")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    fails(lambda: BytePairs.from_json(pieces.to_json()), "pip install 'pellucid[text]'")


def test_byte_pairs_need_their_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    fails(lambda: BytePairs(ENGLISH, vocab_size=300), "BytePairs needs tokenizers: pip install 'pellucid[text]'")


# ---- files --------------------------------------------------------------------------------------------------------


def test_read_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\x85\n")  # with a byte order mark, and a byte that is no UTF-8
    fails(lambda: data.read_text(path), path, "not in UTF-8: byte 0x85 on line 2, byte 4 of it", "'…'", "cp1252")
    assert data.read_text(path, encoding="cp1252").endswith("one\ntwo…\n")
    path.write_bytes("\ufeffone\r\ntwö\n".encode())
    assert data.read_text(path) == "one\ntwö\n"
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert data.read_text(str(path)) == "one\ntwö\n"


FILES = {
    "latin-1": ("Größe".encode("latin-1"), "byte 0xf6 on line 1, byte 3", "'ö'", "encoding='cp1252'"),
    "utf-16": ("Größe".encode("utf-16"), "line 1, byte 1 of it", "encoding='utf-16'"),
    "utf-16 without a mark": ("abc".encode("utf-16-le"), "zero bytes", "encoding='utf-16-le'"),
    "no text": (b"ab\n\x81\x8d", "line 2, byte 1", "is it a text file?"),
    "after a mark": (b"\xef\xbb\xbfab\xff", "byte 0xff on line 1, byte 3"),
    "empty": (b" \n", "is empty; expected text"),
    "damaged gzip": (b"\x1f\x8b\x08abc", "damaged gzip"),
}


def test_folders_of_texts_in_another_encoding(tmp_path):
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos" / "1.txt").write_bytes("Größe".encode("cp1252"))
    with pytest.raises(DataError, match=r"1\.txt is not in UTF-8.*give encoding='cp1252'"):
        data.read_texts(tmp_path)
    assert data.read_texts(tmp_path, encoding="cp1252")["text"].tolist() == ["Größe"]  # as advised


@pytest.mark.parametrize("case", FILES.values(), ids=list(FILES))
def test_bad_text(case, tmp_path):
    path, (content, *parts) = tmp_path / "bad.txt", case
    path.write_bytes(content)
    fails(lambda: data.read_text(path), path, *parts)


def test_files_that_are_not_there(tmp_path):
    fails(lambda: data.read_text(tmp_path / "none"), "none: there is no such file")
    fails(lambda: data.read_text(tmp_path), "cannot be read")
    (tmp_path / "a").write_text("a")
    fails(lambda: data.read_text(tmp_path / "a", encoding="utf8000"), "no encoding 'utf8000'")


def test_read_pairs(tmp_path):
    one, two, both = tmp_path / "one", tmp_path / "two.gz", tmp_path / "both"
    one.write_text("a dog\n\u2028b \n\n")  # a line separator of Unicode is no end of a line here
    two.write_bytes(gzip.compress(b"ein Hund\nB\n\n"))
    assert data.read_pairs(one, two) == [("a dog", "ein Hund"), ("b", "B")]
    both.write_text("go\tgeh\tsource 1\n\nI see\tich sehe\r\n")
    assert data.read_pairs(both) == [("go", "geh"), ("I see", "ich sehe")]


PAIRS = {
    "other lengths": ("a\nb\n", "A\n", "has 2 lines", "has 1; expected as many"),
    "half": ("a\nb\n", "A\n\n", "line 2 has one half only"),
    "no tab": ("a\tA\nb\nc\n", None, "lines 2, 3 have no tab", "read_pairs(path, other)"),
    "half a line": ("a\tA\n\tB\n", None, "line 2 has one half only"),
}


@pytest.mark.parametrize("case", PAIRS.values(), ids=list(PAIRS))
def test_bad_pairs(case, tmp_path):
    one, two, *parts = case
    (tmp_path / "one").write_text(one)
    if two is not None:
        (tmp_path / "two").write_text(two)
    fails(lambda: data.read_pairs(tmp_path / "one", two and tmp_path / "two"), tmp_path / "one", *parts)


def row(number, form="_", tag="_", own="_"):
    return "\t".join([number, form, "_", tag, own, *"_____"])


def test_read_conllu(tmp_path):
    path = tmp_path / "a.conllu"
    rows = ["# text = don't\t", row("1-2", "don't"), row("1", "do", "AUX", "VB"), row("2", "n't", "PART", "RB"), ""]
    rows += ["# another", row("1", "a b", "X", "FW"), row("1.1", "gone", "VERB", "VB")]  # no blank line at the end
    path.write_text("\n".join(rows))
    assert data.read_conllu(path) == [(["do", "n't"], ["AUX", "PART"]), (["a b"], ["X"])]
    assert data.read_conllu(path, tags="xpos")[0] == (["do", "n't"], ["VB", "RB"])
    fails(lambda: data.read_conllu(path, tags="lemma"), "'lemma'", "'upos', 'xpos', 'deprel'")
    path.write_text(row("1", "a") + "\n2\tb\tNOUN\n")
    fails(lambda: data.read_conllu(path), path, "line 2 has 3 columns", "expected 10", r"'2\tb\tNOUN'")
    path.write_text("# only a comment\n")
    fails(lambda: data.read_conllu(path), path, "no sentences")


# ---- real data ----------------------------------------------------------------------------------------------------


def test_shakespeare(shared_data):
    text = data.read_text(shared_data / "tinyshakespeare" / "input.txt")
    v = Vocabulary(text, special=())
    numbers = v.encode(text)
    assert (len(v), len(numbers)) == (65, 1115394) and v.tokens[0] == " " and v.decode(numbers) == text


def test_treebank(shared_data):
    sentences = data.read_conllu(shared_data / "ud-english-ewt" / "en_ewt-ud-dev.conllu.gz")
    assert (len(sentences), sum(len(forms) for forms, _ in sentences)) == (2001, 25147)
    assert all(len(forms) == len(tags) for forms, tags in sentences)
    assert len(Vocabulary([tags for _, tags in sentences], level="words", special=())) == 17
    assert sentences[0][0][:4] == ["From", "the", "AP", "comes"] and sentences[0][1][:2] == ["ADP", "DET"]


def test_translations(shared_data):
    folder = shared_data / "multi30k-en-de"
    pairs = data.read_pairs(folder / "val.en.gz", folder / "val.de.gz")
    assert len(pairs) == 1014 and pairs[0][0].startswith("A group of men are loading cotton")
    german = [b for _, b in pairs]
    words = Vocabulary(german, level="words", lower=True)
    assert {"männer", "."} <= set(words.tokens) and words.unknown not in words.encode(german[5])
    pytest.importorskip("tokenizers")
    pieces = BytePairs(german, vocab_size=1000)
    assert len(pieces) == 1000 and all(pieces.decode(pieces.encode(text)) == text for text in german)
