"""States, prefectures and provinces that a customer chooses from a list, by country.

A region is stored by its key: the postal abbreviation where addresses have one (`CA`), else its English name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

_JAPAN = (
    "Hokkaido 北海道;Aomori 青森県;Iwate 岩手県;Miyagi 宮城県;Akita 秋田県;Yamagata 山形県;Fukushima 福島県;"
    "Ibaraki 茨城県;Tochigi 栃木県;Gunma 群馬県;Saitama 埼玉県;Chiba 千葉県;Tokyo 東京都;Kanagawa 神奈川県;"
    "Niigata 新潟県;Toyama 富山県;Ishikawa 石川県;Fukui 福井県;Yamanashi 山梨県;Nagano 長野県;Gifu 岐阜県;"
    "Shizuoka 静岡県;Aichi 愛知県;Mie 三重県;Shiga 滋賀県;Kyoto 京都府;Osaka 大阪府;Hyogo 兵庫県;Nara 奈良県;"
    "Wakayama 和歌山県;Tottori 鳥取県;Shimane 島根県;Okayama 岡山県;Hiroshima 広島県;Yamaguchi 山口県;"
    "Tokushima 徳島県;Kagawa 香川県;Ehime 愛媛県;Kochi 高知県;Fukuoka 福岡県;Saga 佐賀県;Nagasaki 長崎県;"
    "Kumamoto 熊本県;Oita 大分県;Miyazaki 宮崎県;Kagoshima 鹿児島県;Okinawa 沖縄県"
)
_CHINA = (
    "Anhui 安徽省 安徽省;Beijing 北京市 北京市;Chongqing 重庆市 重慶市;Fujian 福建省 福建省;Gansu 甘肃省 甘肅省;"
    "Guangdong 广东省 廣東省;Guangxi 广西壮族自治区 廣西壯族自治區;Guizhou 贵州省 貴州省;Hainan 海南省 海南省;"
    "Hebei 河北省 河北省;Heilongjiang 黑龙江省 黑龍江省;Henan 河南省 河南省;Hubei 湖北省 湖北省;"
    "Hunan 湖南省 湖南省;Inner_Mongolia 内蒙古自治区 內蒙古自治區;Jiangsu 江苏省 江蘇省;Jiangxi 江西省 江西省;"
    "Jilin 吉林省 吉林省;Liaoning 辽宁省 遼寧省;Ningxia 宁夏回族自治区 寧夏回族自治區;Qinghai 青海省 青海省;"
    "Shaanxi 陕西省 陝西省;Shandong 山东省 山東省;Shanghai 上海市 上海市;Shanxi 山西省 山西省;"
    "Sichuan 四川省 四川省;Tianjin 天津市 天津市;Tibet 西藏自治区 西藏自治區;"
    "Xinjiang 新疆维吾尔自治区 新疆維吾爾自治區;"
    "Yunnan 云南省 雲南省;Zhejiang 浙江省 浙江省"
)
_ABBREVIATED: Mapping[str, str] = {
    "US": "AL Alabama;AK Alaska;AZ Arizona;AR Arkansas;CA California;CO Colorado;CT Connecticut;DE Delaware;"
    "DC District of Columbia;FL Florida;GA Georgia;HI Hawaii;ID Idaho;IL Illinois;IN Indiana;IA Iowa;KS Kansas;"
    "KY Kentucky;LA Louisiana;ME Maine;MD Maryland;MA Massachusetts;MI Michigan;MN Minnesota;MS Mississippi;"
    "MO Missouri;MT Montana;NE Nebraska;NV Nevada;NH New Hampshire;NJ New Jersey;NM New Mexico;NY New York;"
    "NC North Carolina;ND North Dakota;OH Ohio;OK Oklahoma;OR Oregon;PA Pennsylvania;PR Puerto Rico;RI Rhode Island;"
    "SC South Carolina;SD South Dakota;TN Tennessee;TX Texas;UT Utah;VT Vermont;VA Virginia;WA Washington;"
    "WV West Virginia;WI Wisconsin;WY Wyoming;AS American Samoa;GU Guam;MP Northern Mariana Islands;"
    "VI US Virgin Islands;AA Armed Forces Americas;AE Armed Forces Europe;AP Armed Forces Pacific",
    "CA": "AB Alberta;BC British Columbia;MB Manitoba;NB New Brunswick;NL Newfoundland and Labrador;"
    "NT Northwest Territories;NS Nova Scotia;NU Nunavut;ON Ontario;PE Prince Edward Island;QC Quebec;SK Saskatchewan;"
    "YT Yukon",
    "AU": "ACT Australian Capital Territory;NSW New South Wales;NT Northern Territory;QLD Queensland;"
    "SA South Australia;TAS Tasmania;VIC Victoria;WA Western Australia",
    "BR": "AC Acre;AL Alagoas;AP Amapá;AM Amazonas;BA Bahia;CE Ceará;DF Distrito Federal;ES Espírito Santo;GO Goiás;"
    "MA Maranhão;MT Mato Grosso;MS Mato Grosso do Sul;MG Minas Gerais;PA Pará;PB Paraíba;PR Paraná;PE Pernambuco;"
    "PI Piauí;RJ Rio de Janeiro;RN Rio Grande do Norte;RS Rio Grande do Sul;RO Rondônia;RR Roraima;SC Santa Catarina;"
    "SP São Paulo;SE Sergipe;TO Tocantins",
}
_NAMED: Mapping[str, str] = {
    "IN": "Andaman and Nicobar Islands;Andhra Pradesh;Arunachal Pradesh;Assam;Bihar;Chandigarh;Chhattisgarh;"
    "Dadra and Nagar Haveli and Daman and Diu;Delhi;Goa;Gujarat;Haryana;Himachal Pradesh;Jammu and Kashmir;Jharkhand;"
    "Karnataka;Kerala;Ladakh;Lakshadweep;Madhya Pradesh;Maharashtra;Manipur;Meghalaya;Mizoram;Nagaland;Odisha;"
    "Puducherry;Punjab;Rajasthan;Sikkim;Tamil Nadu;Telangana;Tripura;Uttar Pradesh;Uttarakhand;West Bengal",
    "MX": "Aguascalientes;Baja California;Baja California Sur;Campeche;Chiapas;Chihuahua;Ciudad de México;Coahuila;"
    "Colima;Durango;Estado de México;Guanajuato;Guerrero;Hidalgo;Jalisco;Michoacán;Morelos;Nayarit;Nuevo León;Oaxaca;"
    "Puebla;Querétaro;Quintana Roo;San Luis Potosí;Sinaloa;Sonora;Tabasco;Tamaulipas;Tlaxcala;Veracruz;Yucatán;"
    "Zacatecas",
    "MY": "Johor;Kedah;Kelantan;Kuala Lumpur;Labuan;Melaka;Negeri Sembilan;Pahang;Penang;Perak;Perlis;Putrajaya;"
    "Sabah;Sarawak;Selangor;Terengganu",
}


@cache
def _table(country: str) -> Mapping[str, Mapping[str, str]]:
    """Names of the regions of a country by key and language; empty for a country without a list."""
    if country == "JP":
        rows = [row.split() for row in _JAPAN.split(";")]
        traditional = str.maketrans("県広児縄徳静", "縣廣兒繩德靜")
        simplified = str.maketrans("県広岡長庫児島縄沖栃賀鳥愛東宮馬葉徳", "县广冈长库儿岛绳冲枥贺鸟爱东宫马叶德")
        return {
            key: {"en": key, "ja": name, "zh_Hant": name.translate(traditional), "zh_Hans": name.translate(simplified)}
            for key, name in rows
        }
    if country == "CN":
        rows = [row.replace("_", " ").rsplit(" ", 2) for row in _CHINA.split(";")]
        return {key: {"en": key, "zh_Hans": short, "zh_Hant": long, "ja": long} for key, short, long in rows}
    if country in _ABBREVIATED:
        pairs = (row.split(" ", 1) for row in _ABBREVIATED[country].split(";"))
        return {key: {"en": name} for key, name in pairs}
    return {name: {"en": name} for name in _NAMED.get(country, "").split(";") if name}


def listed(country: str, locale: str) -> list[tuple[str, str]]:
    """Key and name of the regions of a country, in the order of a form; empty if customers type the region."""
    found = [(key, names.get(locale, names["en"])) for key, names in _table(country).items()]
    return found if country == "JP" or locale != "en" else sorted(found, key=lambda pair: pair[1])


def name(country: str, key: str, locale: str) -> str:
    """The region as it is printed in an address; a text that is no key is printed as it is."""
    names = _table(country).get(key)
    return key if names is None or country in _ABBREVIATED else names.get(locale, names["en"])


def key(country: str, typed: str) -> str | None:
    """The key of a typed or chosen region, None if the list of the country does not have it."""
    return _keys(country).get(_plain(typed))


@cache
def _keys(country: str) -> Mapping[str, str]:
    return {_plain(text): key for key, names in _table(country).items() for text in (key, *names.values())}


def _plain(text: str) -> str:
    return re.sub(r"[\s.]+", " ", text).strip().casefold()
