"""What a live judge is told, for each kind of question.

Each prompt ends in the fenced JSON block of `mmevol.records.Request`; the reply is one JSON object with the text that
the scorer reads. The content follows the official judges' prompts, the words are our own.
"""

import re
from typing import Any

from mmevol.endpoint.prompt import Picture, Prompt
from mmevol.evaluate.scoring.judge import JudgeQuestion, Kind
from mmevol.records import Request, Task

REPLY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"reply": {"type": "string"}},
    "required": ["reply"],
    "additionalProperties": False,
}
"""JSON schema of a judge's reply."""

TASKS: dict[Kind, Task] = {
    "mcq": "match_option",
    "yes_no": "match_yes_no",
    "blink_yes_no": "blink_yes_no",
    "mathvista_extract": "extract_answer",
    "mia": "mia_score",
    "hallusion_verdict": "judge_answer",
    "hallusion_same": "judge_same",
}

_ENDING = '\nReply with one JSON object, {"reply": "…"}, and nothing else. The data follow.\n'

INSTRUCTIONS: dict[Kind, str] = {
    "mcq": """\
Match a free answer to the options of a question that has one right option. Do not solve the question: say which option
the answer (`prediction`) means. The reply is that option's capital letter, or Z if the answer is close to none of them.
With options A. teddy bear, B. rabbit, C. cat, D. dog and the question what the picture mainly shows, the answer "a cute
teddy bear" is A, and the answer "Spider" is Z.
""",
    "yes_no": """\
Say whether a free answer (`prediction`) to a question means Yes or No. Do not answer the question yourself. The reply
is Yes, No, or Unknown if the answer means neither.
To the question whether the word in the picture is 'Hello', the answer "The word in this image is 'Hello'." means Yes,
and "The word in this image is not 'Hello'." means No.
""",
    "blink_yes_no": """\
Given a question, its options, the letter of the right option (`answer`) and a model's answer (`prediction`), say
whether the model's answer is right. The reply is yes or no.
""",
    "mathvista_extract": """\
Take the final answer out of a model's response (`prediction`) to a question, in the form that the question's hint asks
for. Do not solve the question and do not correct the response. The reply is that answer alone, empty if there is none.
Asked for an integer, the response "There are 14 in all, so the answer is 14." gives 14. Asked for two decimals, "about
1.449, that is 1.45" gives 1.45. Asked for one decimal, "0.63 (none of them is larger)" gives 0.6. Asked for a list,
"from 2007 to 2008" gives [2007, 2008]. Asked for an option of (A) 3/11, (B) 8/11, (C) 6/11, the response "The correct
answer is (B) 8/11." gives B.
""",
    "mia": """\
The picture goes with an instruction (`instruction`) that has several components. Judge how well a model's response
(`prediction`) fulfils each component, in order; a component is worth at most its weight, in whole points.
The reply is one sentence of exactly this form, with as many components as there are and no full stop before its end:
score of component 1: 2/3, score of component 2: 4/7, total score: 6/10.
""",
    "hallusion_verdict": """\
Compare a model's response (`prediction`) to a question with the reference answer (`answer`). The reply is correct if the
response says the same as the reference, incorrect if it contradicts it, and unclear if it commits itself to neither.
""",
    "hallusion_same": """\
Two responses (`prediction` and `original`) were given to two questions that you are not told. Say whether both can be
right at once. The reply is same if neither contradicts the other, and different if they conflict.
""",
}

_MCQ_CHINESE = """\
请把一个自由回答与单选题的选项对应起来。不要自己解题，只判断回答（`prediction`）指的是哪个选项。回复该选项的大写字母；如果与所有选项都相差很远，
回复 Z。例如选项为 A. 泰迪熊、B. 兔子、C. 猫、D. 狗，问题是图中主要是什么：回答“一只可爱的泰迪熊”对应 A，回答“蜘蛛”对应 Z。
"""
_CHINESE = re.compile("[\u4e00-\u9fff]")


def judge_prompt(question: JudgeQuestion, picture: Picture | None = None) -> Prompt:
    """The prompt of one question to a live judge. A question in Chinese about options is put in Chinese."""
    instructions = INSTRUCTIONS[question.kind]
    if question.kind == "mcq" and _CHINESE.search(question.data["question"]):
        instructions = _MCQ_CHINESE
    request = Request(task=TASKS[question.kind], data=question.data)
    return Prompt(instructions + _ENDING, request, REPLY_SCHEMA, picture)
