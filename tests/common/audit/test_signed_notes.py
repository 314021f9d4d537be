"""A signed note is worth what its keys are: C2SP signed-note, down to the byte."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.audit.keys import Algorithm, SignerKey, VerifierKey
from entente_common.audit.note import (
    NOTE_LIMIT_BYTES,
    SIGNATURE_LIMIT,
    Note,
    Signature,
    sign_note,
    verify_note,
)
from entente_common.errors import AuditBroken, InvalidSettings

# The key and note of golang.org/x/mod/sumdb/note, note_test.go.
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvq"
    "fqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The example of the specification itself; its key is not published.
SPEC_NOTE = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed è subito sera.\n"
    "\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU"
    "0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
A, B = (
    SignerKey(name, Algorithm.ED25519, bytes([seed]) * 32) for name, seed in (("a", 1), ("b", 2))
)
TEXTS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"])).map("{}\n".format)
MALFORMED = {
    "nothing": "",
    "no signature": "text\n",
    "no signature after the blank line": "text\n\n",
    "no blank line": "text\n— a AAAAAAAA\n",
    "no last newline": "text\n\n— a AAAAAAAA",
    "a blank line at the end": "text\n\n— a AAAAAAAA\n\n",
    "a hyphen for the dash": "text\n\n- a AAAAAAAA\n",
    "no space after the dash": "text\n\n—a AAAAAAAA\n",
    "no name": "text\n\n—  AAAAAAAA\n",
    "no signature after the name": "text\n\n— a\n",
    "an id without a signature": "text\n\n— a AAAAAA==\n",
    "a plus in the name": "text\n\n— a+b AAAAAAAA\n",
    "a space in the name": "text\n\n— a\N{NO-BREAK SPACE}b AAAAAAAA\n",
    "no Base64": "text\n\n— a AAAA*AAA\n",
    "Base64 with bits left over": "text\n\n— a AAAAAAB=\n",
    "Base64 without padding": "text\n\n— a AAAAAAA\n",
    "a tab": "te\txt\n\n— a AAAAAAAA\n",
    "carriage returns": "text\r\n\r\n— a AAAAAAAA\r\n",
    "half a character": "te\ud800xt\n\n— a AAAAAAAA\n",
    "too many signatures": "text\n\n" + "— a AAAAAAAA\n" * (SIGNATURE_LIMIT + 1),
    "too large": "x" * NOTE_LIMIT_BYTES + "\n\n— a AAAAAAAA\n",
}


def test_the_reference_note_is_made_and_read_byte_for_byte() -> None:
    public, private = VerifierKey.parse(GO_PUBLIC), SignerKey.parse(GO_PRIVATE)
    assert (public.text(), private.secret_text()) == (GO_PUBLIC, GO_PRIVATE)
    assert private.verifier == public
    assert sign_note(GO_TEXT, private).encode() == GO_NOTE
    note = Note.parse(GO_NOTE)
    assert note.text == GO_TEXT
    assert list(verify_note(note, keys=[public])) == [public]


def test_the_example_of_the_specification_is_read() -> None:
    note = Note.parse(SPEC_NOTE)
    assert note.text.endswith("raggio di sole:\n\ned è subito sera.\n")
    assert [signature.name for signature in note.signatures] == ["quasimodo.example/salvatore"]
    assert note.encode() == SPEC_NOTE


@given(TEXTS)
def test_a_note_comes_back_with_all_its_signatures(text: str) -> None:
    note = Note.parse(sign_note(text, A, B).encode())
    assert note.text == text
    assert list(verify_note(note, keys=[B.verifier, A.verifier])) == [B.verifier, A.verifier]


@given(st.data())
def test_no_letter_of_the_text_may_change(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(GO_TEXT) - 2))
    letter = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
    changed = GO_TEXT[:place] + letter + GO_TEXT[place + 1 :]
    note = Note.parse(GO_NOTE.replace(GO_TEXT, changed))
    if changed == GO_TEXT:
        return
    with pytest.raises(AuditBroken, match="PeterNeumann"):
        verify_note(note, keys=[VerifierKey.parse(GO_PUBLIC)])


@pytest.mark.parametrize("document", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_note_is_refused(document: str) -> None:
    with pytest.raises(AuditBroken):
        Note.parse(document)


def test_strangers_signatures_are_passed_over() -> None:
    note = sign_note("text\n", A, B)
    assert list(verify_note(note, keys=[A.verifier])) == [A.verifier]


@pytest.mark.parametrize(
    "stranger",
    [
        SignerKey("c", Algorithm.ED25519, bytes([1]) * 32),
        SignerKey("a", Algorithm.ED25519, bytes([3]) * 32),
        SignerKey("a", Algorithm.COSIGNATURE, bytes([1]) * 32),
    ],
    ids=["other name", "other key", "other algorithm"],
)
def test_a_note_of_strangers_only_is_refused(stranger: SignerKey) -> None:
    with pytest.raises(AuditBroken, match="not signed by any key"):
        verify_note(sign_note("text\n", A), keys=[stranger.verifier])


def test_one_forged_signature_spoils_the_note() -> None:
    forged = Signature("b", B.verifier.key_id, bytes(64))
    note = sign_note("text\n", A).with_signature(forged)
    with pytest.raises(AuditBroken, match="'b'"):
        verify_note(note, keys=[A.verifier, B.verifier])


def test_a_key_signs_once() -> None:
    note = sign_note("text\n", A)
    assert note.with_signature(note.signatures[0]) == note
    doubled = Note(note.text, note.signatures * 2)
    with pytest.raises(AuditBroken, match="several"):
        verify_note(doubled, keys=[A.verifier])


@pytest.mark.parametrize("text", ["", "no newline", "a\tb\n", "\ud800\n"])
def test_a_text_that_no_note_holds_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError):
        sign_note(text, A)


def test_only_log_keys_sign_notes() -> None:
    with pytest.raises(ValueError):
        sign_note("text\n")
    with pytest.raises(ValueError):
        sign_note("text\n", SignerKey("a", Algorithm.COSIGNATURE, bytes(32)))


@given(st.integers(0, len(GO_PUBLIC) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_key_with_a_typing_error_is_refused(place: int, letter: str) -> None:
    typed = GO_PUBLIC[:place] + letter + GO_PUBLIC[place + 1 :]
    if typed == GO_PUBLIC:
        return
    with pytest.raises(InvalidSettings):
        VerifierKey.parse(typed)


@pytest.mark.parametrize("text", ["", "a", "a+b", "a+00000000+", "a+00000000+AQ==", "+c74f20a3+AR"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings):
        VerifierKey.parse(text)
    with pytest.raises(InvalidSettings):
        SignerKey.parse(text)
    with pytest.raises(InvalidSettings):
        SignerKey.parse("PRIVATE+KEY+" + text)


def test_a_key_of_an_algorithm_that_entente_does_not_speak_is_refused() -> None:
    blob = base64.b64encode(b"\x02" + bytes(32)).decode()
    with pytest.raises(InvalidSettings, match="unknown algorithm"):
        VerifierKey.parse(f"a+00000000+{blob}")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\N{EM SPACE}b"])
def test_names_that_break_lines_are_refused(name: str) -> None:
    with pytest.raises(InvalidSettings):
        SignerKey.generate(name)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_new_keys_differ_and_come_back(algorithm: Algorithm) -> None:
    one, other = (SignerKey.generate("a", algorithm=algorithm) for _ in range(2))
    assert one != other
    assert SignerKey.parse(one.secret_text()) == one
    assert VerifierKey.parse(one.verifier.text()) == one.verifier


def test_a_private_key_is_not_shown() -> None:
    assert "seed" not in repr(A)
    wrong_id = GO_PRIVATE.replace("c74f20a3", "c74f20a4")
    with pytest.raises(InvalidSettings) as refused:
        SignerKey.parse(wrong_id)
    assert GO_PRIVATE.rpartition("+")[2][:8] not in str(refused.value)
