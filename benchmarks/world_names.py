"""Names of an invented American population, commonest first, for `benchmarks.world`: unlike the demo's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True)
class People:
    """How one part of the population is called.

    Attributes
    ----------
    surnames, women, men : tuple of str
        Commonest first.
    steep : float
        How much commoner the first is than the second: exponent of a power law.
    rare : float
        Share of surnames that are none of these but made of syllables.
    """

    surnames: tuple[str, ...]
    women: tuple[str, ...]
    men: tuple[str, ...]
    steep: float
    rare: float


ENGLISH = People(
    _words(
        "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Thomas Moore Jackson Martin "
        "Thompson White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott Hill Green Adams "
        "Nelson Baker Hall Campbell Mitchell Carter Roberts Phillips Evans Turner Parker Collins Edwards "
        "Stewart Morris Murphy Cook Rogers Morgan Cooper Peterson Bailey Reed Kelly Howard Kim Cox Ward "
        "Richardson Watson Brooks Wood James Bennett Gray Hughes Price Myers Long Foster Sanders Ross Powell "
        "Sullivan Russell O'Brien O'Connor McDonald McCarthy Jenkins Perry Butler Barnes Fisher Henderson "
        "Coleman Simmons Patterson Jordan Reynolds Hamilton Graham Wallace Cole West Hayes Chen Schmidt "
        "Schneider Weber Kowalski Novak Larsen Hansen VanDyke"
    ),
    _words(
        "Jessica Ashley Emily Sarah Samantha Amanda Brittany Elizabeth Taylor Megan Hannah Kayla Lauren "
        "Stephanie Rachel Jennifer Nicole Alexis Victoria Amber Alyssa Courtney Rebecca Danielle Jasmine "
        "Brianna Katherine Alexandra Madison Morgan Melissa Michelle Kelsey Chelsea Anna Kimberly Tiffany "
        "Olivia Mary Christina Allison Abigail Sara Shelby Heather Haley Maria Kaitlyn Laura Erin Andrea "
        "Natalie Jordan Brooke Julia Emma Vanessa Erica Sydney Kelly Kristen Katelyn Marissa Amy Crystal "
        "Paige Cassandra Gabrielle Katie Caitlin Lindsey Destiny Kathryn Jacqueline Shannon Jenna Angela "
        "Savannah Mariah Alexandria Sierra Alicia Briana Miranda Jamie Catherine Brandi Tamika Latoya Keisha"
    ),
    _words(
        "Michael Christopher Matthew Joshua Andrew Jacob Daniel Nicholas Tyler Joseph David Brandon James "
        "John Ryan Zachary Justin Anthony William Robert Jonathan Kyle Alexander Cody Kevin Eric Thomas "
        "Steven Timothy Benjamin Samuel Christian Austin Dylan Richard Aaron Nathan Adam Charles Patrick "
        "Jordan Stephen Sean Jason Jeremy Trevor Travis Mark Cameron Jeffrey Paul Marcus Dustin Evan Kenneth "
        "Gregory Bryan Ian Derek Edward Peter Logan Scott Shane Corey Garrett Dakota Bradley Brett Shawn "
        "Caleb Joel Phillip Jamal Darnell Terrell DeShawn George Raymond Ronald Douglas Vincent"
    ),
    0.75,
    0.25,
)
HISPANIC = People(
    _words(
        "Garcia Rodriguez Martinez Hernandez Lopez Gonzalez Perez Sanchez Ramirez Torres Flores Rivera Gomez "
        "Diaz Reyes Morales Cruz Ortiz Gutierrez Chavez Ramos Ruiz Alvarez Mendoza Vasquez Castillo Jimenez "
        "Moreno Romero Herrera Medina Aguilar Vargas Guzman Mendez Muñoz Salazar Garza Soto Vazquez Alvarado "
        "Delgado Peña Contreras Sandoval Guerrero Rios Estrada Ortega Nuñez Maldonado Dominguez Vega Espinoza"
    ),
    _words(
        "Maria Guadalupe Jessica Stephanie Ana Karina Daniela Vanessa Gabriela Diana Alejandra Adriana "
        "Cristina Patricia Rosa Leticia Veronica Isabel Sofia Valeria Luz Juana Carmen Elena Yesenia"
    ),
    _words(
        "Jose Juan Luis Carlos Jesus Miguel Daniel David Antonio Alejandro Francisco Jorge Manuel Eduardo "
        "Ricardo Fernando Victor Javier Roberto Mario Angel Cesar Sergio Hector Oscar Raul Pedro Rafael"
    ),
    1.0,
    0.05,
)
VIETNAMESE = People(
    _words("Nguyen Tran Le Pham Huynh Phan Vu Vo Dang Bui Do Ho Ngo Duong Ly Truong Dinh Doan Lam Mai"),
    _words("Thuy Linh Anh Trang Huong Lan Mai Ngoc Thao Kim Jennifer Tiffany Christine Vy Nhi Hoa Tuyet"),
    _words("Anh Minh Tuan Hung Dung Nam Duc Long Kevin Andrew Tommy Khoa Hai Son Huy Quang Bao Tien Vinh"),
    1.1,
    0.02,
)

NICKNAMES: Mapping[str, str] = dict(
    pair.split("/")
    for pair in _words(
        "Jessica/Jess Samantha/Sam Amanda/Mandy Elizabeth/Liz Megan/Meg Stephanie/Steph Rachel/Rae "
        "Jennifer/Jenny Nicole/Nikki Alexis/Lexi Victoria/Vicky Rebecca/Becky Danielle/Dani Katherine/Kate "
        "Alexandra/Alex Melissa/Missy Michelle/Shelly Kimberly/Kim Christina/Tina Allison/Allie Abigail/Abby "
        "Katelyn/Katie Gabrielle/Gabby Kathryn/Kathy Jacqueline/Jackie Angela/Angie Alexandria/Lexie "
        "Catherine/Cathy Michael/Mike Christopher/Chris Matthew/Matt Joshua/Josh Andrew/Drew Jacob/Jake "
        "Daniel/Dan Nicholas/Nick Joseph/Joe David/Dave Brandon/Bran James/Jim John/Jack Zachary/Zach "
        "Anthony/Tony William/Bill Robert/Bob Jonathan/Jon Alexander/Alex Thomas/Tom Steven/Steve "
        "Timothy/Tim Benjamin/Ben Samuel/Sam Richard/Rick Nathan/Nate Charles/Chuck Patrick/Pat "
        "Stephen/Steve Jeffrey/Jeff Kenneth/Ken Gregory/Greg Edward/Ed Peter/Pete Bradley/Brad Phillip/Phil "
        "Raymond/Ray Ronald/Ron Douglas/Doug Vincent/Vinny Guadalupe/Lupe Gabriela/Gaby Francisco/Paco "
        "Alejandra/Ale "
        "Jose/Pepe Jesus/Chuy Eduardo/Lalo Roberto/Beto Manuel/Manny Alejandro/Alex Patricia/Patty "
        "Guillermo/Memo Isabel/Chavela Leticia/Lety Thuy/Tina Hung/Henry Dung/Daniel Minh/Mike Trang/Tracy"
    )
)
ONSETS = _words("B C D F G H K L M N P R S T V W Br Ch Cr Dr Fr Gr Kl Kr Sch Sh St Str Tr Z")
VOWELS = _words("a e i o u a e o ai au ei ie oo")
CODAS = _words("ck ff ll mm nn rd rt ss tt wn nd ng lm nk rn ch st berg man mann son sen ski er ley ton ard")
STREETS = _words(
    "Main Oak Maple Cedar Elm Park Washington Lake Hill Walnut Spring North Ridge Church Willow Mill Sunset "
    "Railroad Jackson Cherry West South Forest River Meadow Broad Chestnut Dogwood Hickory Jefferson Lincoln "
    "Pine Highland Johnson View Laurel Poplar College Franklin Locust Green Birch Adams Valley Madison Center"
)
KINDS = ("Street", "Avenue", "Road", "Drive", "Lane", "Court", "Boulevard")
SHORT = dict(zip(KINDS, ("St", "Ave", "Rd", "Dr", "Ln", "Ct", "Blvd"), strict=True))
TOWNS = _words(
    "Fairview Midway Franklin Clinton Greenville Bristol Salem Madison Georgetown Arlington Ashland Dover "
    "Oxford Jackson Burlington Manchester Milton Newport Auburn Centerville Clayton Dayton Lexington Milford"
)
