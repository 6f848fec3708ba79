"""stand-in"""

from dataclasses import dataclass


@dataclass(frozen=True)
class User:
    name: str
    analyst: str


class Users:
    def __init__(self, path):
        pass

    def by_password(self, name, password):
        return User(name, name) if password in ("secret1234", "correct horse") else None

    def by_token(self, token):
        return User("ada", "ada") if token == "fedsql_x_y" else None

    def current(self, user):
        return True

    def reload(self):
        pass
