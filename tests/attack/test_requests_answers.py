"""What a small request is answered: never more than kube-apiserver would say."""

from __future__ import annotations

import pytest

from tests.integration.api.conftest import Api, configmap

MAPS = "/api/v1/namespaces/default/configmaps"


async def test_unknown_fields_beyond_the_first_hundred_are_not_listed(api: Api) -> None:
    body = {**configmap("many"), **{f"x{i}": 1 for i in range(90_000)}}
    answer = await api.post(MAPS, body)
    assert answer.status_code == 201
    assert [text for name, text in answer.headers.multi_items() if name == "warning"] == [
        f'299 - "unknown field \\"x{i}\\""' for i in range(100)
    ]
    strict = await api.post(f"{MAPS}?fieldValidation=Strict", body)
    assert strict.json()["message"].count("unknown field") == 100


async def test_repeated_fields_beyond_the_first_hundred_are_not_listed(api: Api) -> None:
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}%b}' % (b',"data":{"a":"b"}' * 10_000)
    answer = await api.post(MAPS, body)
    assert [text for name, text in answer.headers.multi_items() if name == "warning"] == [
        '299 - "duplicate field \\"data\\""'
    ]
    values = b",".join(b'"a%d":"x","a%d":"y"' % (i, i) for i in range(1000))
    answer = await api.post(
        MAPS, b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y"},"data":{%b}}' % values
    )
    assert [text for name, text in answer.headers.multi_items() if name == "warning"] == [
        f'299 - "duplicate field \\"data.a{i}\\""' for i in range(100)
    ]


@pytest.mark.parametrize("length", [10, 300, 3000])
async def test_warnings_are_cut_as_kube_apiserver_cuts_them(api: Api, length: int) -> None:
    body = {**configmap("long"), **{f"{i:0{length}}": 1 for i in range(100)}}
    answer = await api.post(MAPS, body)
    told = [text for name, text in answer.headers.multi_items() if name == "warning"]
    texts = [f'unknown field "{i:0{length}}"' for i in range(100)]
    shown, written, cutting = list[str](), 0, False  # its recorder, step by step
    for at, text in enumerate(texts):
        if cutting and written >= 4096:
            break
        if not cutting and written + len(text) > 4096:
            cutting = True
            shown = [before[:256] for before in texts[: at + 1]]
            written = sum(map(len, shown))
            continue
        shown.append(text[:256] if cutting else text)
        written += len(shown[-1])
    assert told == ['299 - "{}"'.format(text.replace('"', '\\"')) for text in shown]


async def test_a_long_key_is_not_written_for_each_value_below_it(api: Api) -> None:
    inner = ",".join(f'"{i}":1,"{i}":2' for i in range(1000))
    key = "k" * 100_000
    body = f'{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"x"}},"{key}":{{{inner}}}}}'
    answer = await api.post(MAPS, body.encode())
    assert sum(len(text) for name, text in answer.headers.multi_items() if name == "warning") < 10_000
