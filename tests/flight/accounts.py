from fedsql.flight.users import Users


def accounts(folder):
    return Users(None)
