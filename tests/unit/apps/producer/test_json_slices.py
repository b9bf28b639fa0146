import pytest

from kraftd_apps.producer.json_slices import elements, members


def test_the_elements_of_an_array_keep_their_text():
    assert elements(' [ 1.10 , {"a" : [1,2]},"],[", NaN ] ') == ["1.10", '{"a" : [1,2]}', '"],["', "NaN"]
    assert elements("[]") == []


def test_the_members_of_an_object_keep_their_text():
    assert members('{"a":1.10,"b\\u0041" : {"x":[]} }\n') == {"a": "1.10", "bA": '{"x":[]}'}


@pytest.mark.parametrize("text", ["", "[", "[1", "[1 2]", "[1,]", "[,1]", "[1]]", "1", "{}", "[1],"])
def test_what_is_no_array_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        elements(text)


@pytest.mark.parametrize("text", ["{", '{"a"}', '{"a":}', '{"a":1,}', "{1:2}", '{"a":1,"a":2}', "[]", '{"a":1}{}'])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        members(text)
