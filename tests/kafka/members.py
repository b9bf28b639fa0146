"""Members of one group, as their pages show them."""


def all_owned(members):
    return sorted(number for member in members for number in own_partitions(member)) == [0, 1, 2, 3]


def standing_by(members):
    return [member for member in members if not own_partitions(member)]


def own_partitions(member):
    text = member.request("/")[1].decode()
    _, _, rest = text.partition("Reads partitions ")
    return [int(number) for number in rest.partition("<")[0].split(",")] if rest else []
