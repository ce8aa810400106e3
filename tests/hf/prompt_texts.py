"""Prompts of varied kind, language and length (a few tokens up to about 200)."""

TEXTS = [
    # English prose
    "Hello",
    "Once upon a time",
    "The capital of France is",
    "In the beginning the Universe was created. This has made a lot of people",
    "It's what we've always done, isn't it? I'll say they'd rather we didn't, but you're",
    "The old lighthouse keeper climbed the spiral stairs every evening, counting each of the two "
    "hundred and twelve steps under his breath. When he reached the lamp room he",
    "Photosynthesis is the process by which green plants turn sunlight, water and carbon dioxide "
    "into sugar and oxygen. It takes place in two stages. In the first,",
    "Dear Sir or Madam,\n\nI am writing to complain about the toaster that I bought in your shop "
    "last Tuesday. It",
    "Q: Why is the sky blue?\nA:",
    "Abstract. We study how the speed of a network of idle computers depends on the delay between "
    "them. We show that",
    "The train left the station at dawn, and for the first hour nobody in the carriage said a "
    "word. Then the woman by the window unfolded a map, spread it over her knees, and asked the "
    "young man opposite whether he knew the village of Lower Wickham. He did not, but he had an "
    "uncle who had once repaired the church clock there, and so the two of them began to talk. "
    "By the time the tea trolley came past they had found that they had both studied in the same "
    "town, though ten years apart; that neither of them cared for the sea; and that each had "
    "brought a book which the other had already read. The rest of the carriage listened without "
    "seeming to. Outside, the fields gave way to low hills, and the hills to a long grey lake on "
    "which a single boat lay at anchor. When the conductor at last opened the door, she",
    # Lists
    "Shopping list:\n- milk\n- eggs\n- bread\n-",
    "1. Mercury\n2. Venus\n3. Earth\n4.",
    "Monday, Tuesday, Wednesday,",
    "Ingredients:\n* 200 g flour\n* 2 eggs\n* 1 pinch of salt\n\nMethod:\n",
    "| Country | Capital |\n|---|---|\n| Italy | Rome |\n| Spain |",
    # Numbers
    "2, 4, 6, 8, 10,",
    "3.14159265358979",
    "17 + 25 = 42\n18 + 25 = 43\n19 + 25 =",
    "On 2024-02-29 at 13:37:05 the temperature was -4.5 °C, which is",
    "1,1,2,3,5,8,13,21,34,",
    # Code
    "def fibonacci(n):\n",
    "#include <stdio.h>\n\nint main(void) {\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += values[i];\n}\n",
    "SELECT name, COUNT(*) FROM orders WHERE",
    '{"name": "Ada", "born": 1815, "languages": [',
    "<!DOCTYPE html>\n<html>\n<head>\n<title>",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n"
    "        self.items.append(item)\n\n    def pop(self):\n        if not self.items:\n"
    '            raise IndexError("pop from an empty stack")\n        return self.items.pop()\n\n'
    "    def peek(self):\n",
    "$ git log --oneline | head -n 3\n",
    # Other languages and scripts
    "La France est un pays",
    "Der schnelle braune Fuchs springt über den faulen Hund. Später",
    "El perro de San Roque no tiene rabo porque",
    "Москва — столица",
    "日本の首都は",
    "北京是中国的",
    "Η Αθήνα είναι η πρωτεύουσα",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    # White space, symbols, emoji, combining marks
    "   indented\n\n\n\tand   spaced  ",
    "¡Olé! “Quoted” — naïve café, e\u0301 ≠ é; x² ≤ ½·π … ™",
    "🙂🚀👩‍👩‍👧 I love",
    "AAAA BBBB CCCC AAAA BBBB",
    "A",
]

CHATS = [
    [{"role": "user", "content": "What is the boiling point of water at sea level?"}],
    [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": "Name a mammal that lays eggs."},
        {"role": "assistant", "content": "The platypus lays eggs."},
        {"role": "user", "content": "And another?"},
    ],
]
