WITH
    ${prices},
    ${pricing}
