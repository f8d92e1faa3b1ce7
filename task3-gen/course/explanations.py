"""What Python's and the libraries' errors mean, for those who meet them for the first time."""

import re

# A pattern of the error as Python prints it, and a sentence, in which the groups of the pattern have numbers. The first
# that fits is told.
EXPLANATIONS = [
    (r"^NameError: name '(.+?)' is not defined",
     "{0}: 없는 이름입니다. 철자가 맞는지, 위에서 만들었거나 불러온 이름인지 보세요. 문자열이라면 따옴표로 감쌉니다."),
    (r"model_kwargs.* not used by the model: \['(.+?)'", "{0}: generate에 없는 옵션입니다. 철자를 확인하세요."),
    (r"num_return_sequences", "num_return_sequences는 돌려받을 텍스트의 개수입니다. 빔의 개수가 아닙니다."),
    (r"has to be .*positive.*, but is", "옵션의 값이 범위를 벗어났거나, 수가 아니라 따옴표로 감싼 문자열입니다."),
    (r"'int' object has no attribute 'update'", "generate의 옵션은 값만 적지 말고 이름=값으로 적으세요."),
    (r"^IndexError: too many indices|^IndexError: tensors used as indices|torch\.return_types\.(?:topk|sort)",
     "topk와 sort는 값(values)과 번호(indices) 두 가지를 반환합니다. 무엇이 필요한지 고르세요."),
    (r"'str' object has no attribute '(?:shape|pad_token_id)'",
     "문자열을 넘길 자리가 아닙니다. 텐서나 토크나이저를 넘겼는지, 순서가 맞는지 보세요."),
    (r"^AttributeError: 'NoneType'", "값이 None입니다. 반환하는 것이 없는 함수의 결과를 쓰지 않았는지 보세요."),
    (r"^AttributeError: '(.+?)' object has no attribute '(.+?)'",
     "{1}: {0}에 없는 이름입니다. 철자와, 점 앞의 값이 무엇인지 확인하세요."),
    (r"'int' object is not iterable",
     "수 하나에서는 차례로 꺼낼 것이 없습니다. for에는 range(3)이나 (1, 2, 3)처럼 여러 값을 적습니다."),
    (r"^TypeError: (\w+)\(\) missing \d+ required positional arguments?: (.+)",
     "{0} 함수에 넘길 것이 빠졌습니다: {1}. 함수를 부를 자리인지, 이름만 적을 자리인지도 보세요."),
    (r"^TypeError: .*unexpected keyword argument '(.+?)'", "{0}: 없는 인수입니다. 철자를 확인하세요."),
    (r"^TypeError: '(\w+)' object is not callable",
     "함수가 아닌 것을 괄호로 불렀습니다. 괄호를 빼거나, 앞에서 같은 이름에 다른 값을 넣지 않았는지 보세요."),
    (r"must be Tensor, not (\w+)",
     "텐서를 넘길 자리에 파이썬의 {0}을 넘겼습니다. 수의 계산은 math 모듈에 있습니다."),
    (r"default_collate", "collate_fn이 없어, 여러 개를 텐서 하나로 묶는 방법을 모릅니다."),
    (r"^SyntaxError: '(.)' was never closed", "{0} 괄호를 닫지 않았습니다."),
    (r"^SyntaxError|^IndentationError", "파이썬 문법이 아닙니다. 괄호, 따옴표, 쉼표, 들여쓰기를 보세요."),
    (r"^ModuleNotFoundError: No module named '(.+?)'", "{0}: 없는 모듈입니다. 철자를 확인하세요."),
]


def explanation(error: str) -> str:
    """A Korean sentence for an error as Python prints it (``NameError: …``); "" where there is none."""
    for pattern, sentence in EXPLANATIONS:
        found = re.search(pattern, error)
        if found:
            return sentence.format(*found.groups())
    return ""
