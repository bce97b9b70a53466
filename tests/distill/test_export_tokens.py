"""Token counts: the quick ways give what the tokenizer itself gives, on the string that the template renders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from export_chain import Chain, good_traces
from hypothesis import given, settings
from hypothesis import strategies as st

from distill import export
from distill.questions import read_questions
from distill.records import write_records
from distill.tokens import ChatTemplate, Talk, TokenCounter, _words
from reward_plugins.errors import Refused

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# A template as reasoning models have them: an assistant's turn loses its reasoning, and a new turn opens <think>.
REASONING = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'assistant' %}"
    "{% generation %}<A>{{ message.content.split('</think>')[-1] }}{{ eos_token }}{% endgeneration %}"
    "{% elif message.role == 'system' %}{{ raise_exception('no system turn') }}"
    "{% else %}<U>{{ message.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<A><think>\n{% endif %}"
)
TALK = Talk([{"role": "user", "content": "What is 2 + 2?"}], "<think>2 and 2.</think><answer>4</answer>")
TEXTS = [
    "Net margin = 12 / 300 = 4 / 100 = 4%, which is  far   above the sector's 2.5%.\n\n| year | sales |\n|  - |  -  |\n",
    "净利润率 = 12 / 300 = 4% 。 同比 增长 了  3 个百分点，\n 因此 判断 正确。",
]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE as GPT-2, Llama 3 and Qwen have it, trained on a few sentences, with ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("student")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 5, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
    return folder


def test_a_row_is_counted_as_the_template_renders_it(student: Path) -> None:
    counter = TokenCounter(student)
    shown = counter.shown(TALK)
    assert shown == (
        "<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n"
        "<think>2 and 2.</think><answer>4</answer><|im_end|>\n"
    )
    whole = counter._tokenizer.encode(shown, add_special_tokens=False)
    assert counter.lengths([TALK]) == [len(whole.ids)]
    assert whole.tokens.count("<|im_start|>") == 2
    assert counter.shown(Talk(TALK.prompt)).endswith("<|im_start|>assistant\n")


@given(st.lists(st.text(st.sampled_from(list(" \n\t\u3000\u00a0a1.$%净é|<>")), max_size=40), max_size=4))
@settings(max_examples=300, deadline=None)
def test_counting_by_words_is_counting(student: Path, texts: list[str]) -> None:
    counter = TokenCounter(student)
    assert counter._by_word
    assert counter._count([*texts, *TEXTS]) == counter._encoded([*texts, *TEXTS])
    for text in texts:
        head, words = _words(text)
        assert "".join([head, *(" " + word for word in words)]) == text


def test_a_tokenizer_that_joins_words_is_not_counted_by_words(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocab = {"<unk>": 0, "isn't": 1, " it": 2, "isn't it": 3}
    joins = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    joins.pre_tokenizer = pre_tokenizers.Split(" ?", "isolated")  # a run of spaces is several tokens, or one
    for tokenizer in (Tokenizer(models.WordLevel(vocab, unk_token="<unk>")), joins):
        tokenizer.add_tokens(["net margin"])
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        counter = TokenCounter(tmp_path)
        assert not counter._by_word
        assert counter._count(["net margin isn't it"]) == counter._encoded(["net margin isn't it"])


def test_longer_agrees_with_the_count_at_every_limit(student: Path) -> None:
    counter = TokenCounter(student)
    talks = [TALK, Talk(TALK.prompt), *(Talk([{"role": "user", "content": text}], text * 3) for text in TEXTS)]
    lengths = counter.lengths(talks)
    for limit in sorted({1, 10_000, *lengths, *(length - 1 for length in lengths)}):
        assert counter.longer(talks, limit) == [length > limit for length in lengths]


def test_a_normalizer_that_writes_more_than_it_reads_is_counted_in_full(student: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_file(str(student / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Replace("%", " percentage points of the total")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    talk = Talk([{"role": "user", "content": "%" * 20}])
    (length,) = TokenCounter(tmp_path).lengths([talk])
    assert length > len("%" * 20) + 8
    assert TokenCounter(tmp_path).longer([talk], length - 1) == [True]
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    grows = Talk([{"role": "user", "content": "\u0958" * 30}])  # its NFC is two characters
    (length,) = TokenCounter(tmp_path).lengths([grows])
    assert TokenCounter(tmp_path).longer([grows], length - 1) == [True]


def test_templates_that_drop_the_reasoning_do_not_drop_it_here(student: Path, tmp_path: Path) -> None:
    config = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": REASONING}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    template = ChatTemplate.of(tmp_path)
    assert template is not None
    assert template.render(TALK) == "<s><U>What is 2 + 2?<A><think>\n2 and 2.</think><answer>4</answer></s>"
    with pytest.raises(Refused, match="refuses the conversation \\(no system turn\\)"):
        template.render(Talk([{"role": "system", "content": "x"}, *TALK.prompt]))
    named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": CHATML}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}), encoding="utf-8")
    second = ChatTemplate.of(tmp_path)
    assert second is not None and second.render(TALK) == TokenCounter(student).shown(TALK)


def test_a_template_runs_in_a_sandbox(tmp_path: Path) -> None:
    for source, message in (("{{ messages.__class__.__mro__ }}", "refuses"), ("{% for %}", "cannot be read")):
        (tmp_path / "chat_template.jinja").write_text(source, encoding="utf-8")
        with pytest.raises(Refused, match=message):
            ChatTemplate.of(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    assert ChatTemplate.of(tmp_path) is None


@pytest.mark.parametrize(("text", "message"), [(None, "no such file"), ("{}", "not a tokenizer")])
def test_no_tokenizer_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=message):
        TokenCounter(tmp_path)


@pytest.mark.parametrize("spill", ["<|im_end|>", "\n<|im_start|>user\nAnd now?"])
def test_a_row_with_the_students_own_marks_is_left_out_and_counted(chain: Chain, student: Path, spill: str) -> None:
    """A server that does not take its model's marks out of an answer sends them as text."""
    journal = [trace for _, trace in good_traces(chain, chain.journal())]
    spilt = [trace.model_copy(update={"reasoning": trace.reasoning + spill}) for trace in journal[:7]]
    chain.screen([*spilt, *journal[7:]])
    rows = list(read_questions(chain.questions))
    assert export.run(chain.settings(set="unread"))["left_out"] == {}  # what no tokenizer says is not known
    counts = export.run(chain.settings(tokenizer=student, prompt_cutoff=10_000))
    assert counts["left_out"] == {"sft: holds a control token of the student": 7}
    assert not any(spill in json.dumps(row) for row in chain.rows("sft/train.jsonl"))
    rows[0] = rows[0].model_copy(update={"context": f"A page that ends in {spill}"})
    write_records(chain.questions, rows)
    counts = export.run(chain.settings(tokenizer=student, cutoff_len=10_000))
    assert counts["left_out"]["grpo: holds a control token of the student"] == 1
