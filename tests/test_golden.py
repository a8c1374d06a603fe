"""Files that every version has to read; and the second reader, written from the specification alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.architecture import Convolutional, Residual, Side, Upsampling
from codec.bundle import Bundle, Pair, weights_digest
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
from codec.context import ContextModel, from_elements, to_elements
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import DamagedPacketError, PacketError
from codec.packet import Chunk, Header
from codec.packet_reader import read_packet
from codec.packet_writer import write_compact, write_packet
from codec.quantise import dequantise
from codec.runs import encode_symbols
from codec.spatial_context import SpatialContext, to_blocks
from codec.tables import Table
from tests import reference_reader
from tests.conftest import random_weights
from tests.context_models import predicted
from tests.golden import make
from tests.random_pairs import BUNDLES, foreign_payloads, random_bundle, random_dense, random_packets
from tests.spatial_models import predicted_blocks

FOLDER = Path(make.__file__).parent

SHA256: dict[str, str] = {
    "batch-0.images.npy": "0aa8edda05212abf08572be2643aa9f46f564792f6489d0f2dbd6c278073a714",
    "batch-0.packet": "6e3415c4fc73c0420ecd1d9d4bea6cc6474c244e38b5e994320d26ee95e8c4a8",
    "batch-0.symbols.npy": "2fed9c3104b33f94f7830e814c10bb51c6aa75187ed93f636393dabdee6be415",
    "batch-1.images.npy": "6d51f0dff3c8ce5ad99198b5c11533b10eab0a838d03ca67894c884f07d9653f",
    "batch-1.packet": "76f8526e7c26e0cbc36388393b55641001f7651ab6b48c963db2c5215cb54101",
    "batch-1.symbols.npy": "e095f2ec56254cd88eca6d7b720e38f53491445697b265f17f8d6de474098364",
    "batch-2.images.npy": "e2081684d4e4dc1a012beb5ea1078241d9265d0dcb17d2d63d0e80394bb776c0",
    "batch-2.packet": "9a53c020054e07e147275f4d612f62da37ed2a5db68ed557fbf1b4b2a0a3983a",
    "batch-2.symbols.npy": "445977704b1c71a71e52bc995ba9ec4e745487c1f4362312d3681095da26a5d2",
    "batch-of-130.images.npy": "168508f2cc55746395a3105873203c36f70487fe10a0d61e486cf2b2a7c0ba78",
    "batch-of-130.packet": "a16d9daf3b415203dc72a9c87f4896cf916356290339a0f749f63788770cbf9b",
    "batch-of-130.symbols.npy": "1ef151cdf34fbe5d161fae90cc20263daf6690f5e058679dfd7a6b7ee5a9fc3a",
    "batch-sized-named.images.npy": "d39721b90b26a999d4af6321f2f217af344350cf3cba02d864ee680857d8e92d",
    "batch-sized-named.packet": "fc1ee3efd1e2922fb5c9579b0e03bc3dcdae7bb289a9937045a2c8ee740653f4",
    "batch-sized-named.symbols.npy": "c96a7517ebef592656f7d9f1546e7675610b81b9d825393a3afefa331aaafdf6",
    "compact-0.images.npy": "253d0473a14c793ac32563481f0c7f519efb2c9ee24aa47d0b6051079ec892cb",
    "compact-0.packet": "d7aba39b83db5858c524e19f96c2be8d3bc9bb6e03a1cae7fa4427077ff38764",
    "compact-0.symbols.npy": "f8880aa54b9bd9284456475c81a400bc5697f883348c5024c7bdb46ed075a7b5",
    "compact-1.images.npy": "b1c41f7d1c02f088f52d97f70d2ab0ff93b992ea18cf82729d2cca27a01a393d",
    "compact-1.packet": "ab24e4a97bd21e33e4bed68d30468180c486743cd4dde697e1a8b4e6e95c2051",
    "compact-1.symbols.npy": "3f9889e78d7955a8e0327ff836198eb7e2b8b94b1a55a13b3f09b133499372a7",
    "compact-2.images.npy": "9b62a6100c05cc314680934c302d01355660f65325c15ca2760aee25e410aa09",
    "compact-2.packet": "ff86e1cc5eeb0e6c1fa95bc84e5866408482c3a28b0fbcaf7fcecbb009ff1f52",
    "compact-2.symbols.npy": "5c9051916af9bf209d0e6599725ce88bf7cbc6a770b264a776b40ec900775d0c",
    "dense-batch-0.images.npy": "6175b6ec099a1d93ed413705664e110ff7e6c096d511b2444af7edb40fa9c4e9",
    "dense-batch-0.packet": "7ec4d3f1931e3db80131de6124aff753046404650f4168b1e4f88313d6fc36f8",
    "dense-batch-0.symbols.npy": "ef8436358e94f1d6f33e5c22f946d27faef6db260e6bdccc79f92e020d20154f",
    "dense-batch-1.images.npy": "739c176744cb7fb2822932a88160e1c3e706bfe16705de219e582ae05edcfce1",
    "dense-batch-1.packet": "00b0db987fd827faa77f6e237cb3787686ac7b8399f65b47abb598ca4028cbac",
    "dense-batch-1.symbols.npy": "8828b32f75003600b9503b187f02ca78a812dc1f0216ddf0d3b8465755c599bb",
    "dense-batch-2.images.npy": "ed8ceef97e4dd9bf12deb31fa7fab8ab6fd1de9fdd32eebf2e69c630d51a5bba",
    "dense-batch-2.packet": "9ad3be34fd3ee5bdeb295a53a5d0351138fff1c0e1426ca42e34d916a7a94ef8",
    "dense-batch-2.symbols.npy": "9b09a2bb3a926143cfccbb056802929443d17b77885d514d4ec3ea7f1c255f51",
    "dense-batch-sized.images.npy": "66441a5cebe48b0696c764e138f9cb5d9aedba32fa93d14b8868ba1c46eb1e29",
    "dense-batch-sized.packet": "50e507b10ad5700a33afe03d2007a628401d0142be5d298d04212df0f92966a3",
    "dense-batch-sized.symbols.npy": "5c48583bedb92540bf4aebc5a6ade9eea82abd19111b6bbc91053918375b2dd6",
    "dense-compact-0.images.npy": "9f5ea70dc40d81398cd37aef71322da23555a382eaa261468dbcffd735732aeb",
    "dense-compact-0.packet": "54a379c864f246b5e70b4afb8c64a1dadbc4a69f425d83cd103e5b96e1b789ee",
    "dense-compact-0.symbols.npy": "5e7ee0072dd77f4bd8993fd8e9f41a3bb5fd193b04bd1ddb822a463618893b77",
    "dense-compact-1.images.npy": "41f7647b2a25b1d929e7a354d8ccb132ec4b0fc5d87c92000c295da8eca34c9a",
    "dense-compact-1.packet": "65c7107ad3c5124b39aae1200f5edb14e64d26582939062b365cc5cab0cca5f8",
    "dense-compact-1.symbols.npy": "f949280ede940da912be0f9ce5d74ddb5e06c5003b9659f9fc80a911d30b575d",
    "dense-compact-2.images.npy": "dda9e33f7d7567594424281e20d0635be5b7fd16d9d96a41416eb13b89451d3e",
    "dense-compact-2.packet": "60fee7446b5db45daea210aa08d51b62dfc37693b1274a757261b8e405c71aea",
    "dense-compact-2.symbols.npy": "8b5b7969c2ef3a3fe5fb7c20da65b190f232a3a793d3ce7b9fe2bc8a74c38a60",
    "dense-escapes-compact.images.npy": "1045870f6a7c451b0cc2c4bb9323702d82ce5cea4c976a82fb58b99b389513f5",
    "dense-escapes-compact.packet": "5012f5ce10b06054bd1dc0103b0fbdd4dd4e971fb60ea5161490dfdc08e6d4af",
    "dense-escapes-compact.symbols.npy": "c17fe231a1d880fe9a6b1a40c21d5625fb944e75e3b2747140f8adda48985c07",
    "dense-escapes.images.npy": "efcdeec8e41282d0a2aa46819f66bb537f2fc485ae024dc336197aa8d641bd9a",
    "dense-escapes.packet": "7439daa1f8accd22dec90341db5ef31c9995c8f100c74aad2c506266c7d9875f",
    "dense-escapes.symbols.npy": "ec07d2250311ec82ba346ffe27e1966036491a34ff55c556ad6a8b24e62c015b",
    "dense-extremes-0.images.npy": "05d137c0f42ae169e79bee988f146dd7e42ea8faa9216895451d89a2823a4527",
    "dense-extremes-0.packet": "1fe6ec940e776fa416e90b8f2bb8a767a6438344abb2a3b123eb4ba9b514828d",
    "dense-extremes-0.symbols.npy": "79ded18db843de663e7b5d954969162da5e803e9126205a8e3f3a7384c0bc63d",
    "dense-extremes-1.images.npy": "39d56f0255d6132a70e58921c566393f6946c2d018274c6db3fea72e5f4dd9ab",
    "dense-extremes-1.packet": "4967790a51b259ee5d18fa46604bb4a70c782ee07d4ba2d0114386e9193a2c91",
    "dense-extremes-1.symbols.npy": "2ed6b01dd9bd26c243e5f1cb27185d14cead2400778cb9fcb20f61add5c60e23",
    "dense-extremes-2.images.npy": "baf3ae3618ee9db53aefcc38284af42a8b11ac180932b563ad8d65a8e3e71d89",
    "dense-extremes-2.packet": "b34fffbb7abe2f7250ecf607f266d07cbd134875d9f3d84231e893bac845bbac",
    "dense-extremes-2.symbols.npy": "680584a1953ab65a4f2411043e620be4c01d511f300ec6bef52e2cd9c0cbb383",
    "dense-pair.decoder.msgpack": "f8deed8373838412bf5741c68b7ee9b0ad23b6142f327190b2aa0171db946f95",
    "dense-pair.encoder.msgpack": "b67a10735624156e8ce83f0162922cffd570391740a82330cf40c4e60a74519a",
    "dense-single-0.images.npy": "4391ffb7eca84abd6f50c6818de1997d8bc3854cb3679be6b5b84940d12fe515",
    "dense-single-0.packet": "460981f9ca119f9fc9ec32ca1c893371eb21a863d010fa41818edc5009f933a9",
    "dense-single-0.symbols.npy": "c6c817d046665e5825d4a38de05a80a97ae7b315f7cdd745b438f9bc650053ba",
    "dense-single-1.images.npy": "1580c579f7c3c5bf8889a97deacc6a3d3412f718d067c3211024859739156a4d",
    "dense-single-1.packet": "c66f8fe657124f32b7b93e6bb1fb6fd846005a0820fc720c6f0738763a4fc6d3",
    "dense-single-1.symbols.npy": "c719fa880055e62c29c9a4fa13c099da1b84224504eb64249cd8c527e86f81a4",
    "dense-single-2.images.npy": "3dbf45c7902a745f48d0bb4f781b6196c20f9f4da0f2994cbda75d3cb09a6804",
    "dense-single-2.packet": "16023544da7b515a06f5701bb73c000ee98a1f731779e4a7e650022e32021f3c",
    "dense-single-2.symbols.npy": "c9aa4783f852f570901f60362bce78128cbca5464b0929405dc05b42bef96903",
    "dense-single-sized.images.npy": "c17012bc72d429d9f8668e1e0ca2b70a795b05b641428c035bb453fb135f8cf5",
    "dense-single-sized.packet": "1b9cd0dea3c2e3700425d59698309f26d42336fc1a16682cf87788b74ac4c163",
    "dense-single-sized.symbols.npy": "882d1d15d5dd411d975c514ba31e9858afd44369e9d537dc49cc1a9542c7aed3",
    "dense-stream-empty.images.npy": "ed1124c673d3e4bae7cde57bcc49561fbaf3869b5fcd13288f077709c04f4b50",
    "dense-stream-empty.packet": "47daeacbb623ec424b6215f0685381737443ebcf70ffeec488a6aad39a0eff78",
    "dense-stream-empty.symbols.npy": "2bc71251de6337de8f3d5a97c1a65f7c0b3ebffc8c598f5e2e917afcc9e8557d",
    "dense-stream-named.images.npy": "666cb64a2b2fcca1b8fee09250a06592a4de8dd48667aa3339d7db1c0cb45630",
    "dense-stream-named.packet": "454816fcd0820ddd406129a6b0c108b6675eb883b547ee09dd62a90dec622747",
    "dense-stream-named.symbols.npy": "2d6110bb4b38e7df1618106acfcdf9f27327ab328de615654d1e4fe45852934c",
    "dense-stream-sized.images.npy": "2a4fb9e1398507dbbec8aecddcf30bdc86c5f66a06972a36b4720204146c830e",
    "dense-stream-sized.packet": "05d054657271a7e0514a4952530104e8b9a2ef4ef56126193db4804e8508b4d7",
    "dense-stream-sized.symbols.npy": "226c9eccb83ffa4cba36a48c5ed69aac1d498b949b20748bfa3a3b33dee2a882",
    "escapes-compact.images.npy": "76cab812f9106d8cca58900ccb5f7579b6bdc5390abea5555814e099f6f91f2c",
    "escapes-compact.packet": "718658f732fad0983b3a400870f618b1e3c2a72d5b94ae5844cc0ec7522e5862",
    "escapes-compact.symbols.npy": "58b24b1448c54cf9ffcf6ce654c459d8ddef944690e143e2e048239dafa4a507",
    "escapes-sized.images.npy": "b587d23e55e894769d6726d67d1aa38bb00262f14d06e5c2e7735e2bb21c9173",
    "escapes-sized.packet": "9952247ec8651190bec55b917fa2b704f5e34580356cb03aae4c75fe3f17f36e",
    "escapes-sized.symbols.npy": "8fd26d953d515c9475abb0c00532665bdacc1b2973b73a0850e2436ee251354c",
    "escapes.images.npy": "bbfede86cc63dc0615166c6074cfd2329ac7632ed4ef2859c5c822a298e730e5",
    "escapes.packet": "827a534190bac6350949e27044eaef80bd867f1fdfdd4c723c98bb43974c9ac4",
    "escapes.symbols.npy": "b1d396522a2113509b1a2152f94a2601ac950a154dd3df3e2cd446753d843ea9",
    "extremes.images.npy": "a7c6803a7feab9d16eb150a58e00fab7f228f3f66296a8da1d4878beb828b6b9",
    "extremes.packet": "7fdfa9200ff6175c292ac73d2f05873affc2224819ea96ca478dabdb10305f29",
    "extremes.symbols.npy": "3fa12edeabe0ff2ed8ca30bea420b1165b4620822ff16f861118a634344c692e",
    "mixed-empty.images.npy": "4ca930d4c39dd441d095d27d2ac61750ccb0f54238f1eed588061be710bf4bb6",
    "mixed-empty.packet": "c6f98269acb54c83ce67fd984874ca6e9cd17fb4a371fb5b77be17c5aaf42188",
    "mixed-empty.symbols.npy": "811d2e1e81aaca0efcbb5ceba500108325a628583a35f1e6c14bed15aa733c2f",
    "mixed-pictures.images.npy": "367d5a8d7c0ac4de43fec149f56a7703d123576c2f361feaac3f51045c7d0e0d",
    "mixed-pictures.packet": "2afe2f51f0f01a0ac880134e64c5555a57958bab5467a95f9851161963a1f414",
    "mixed-pictures.symbols.npy": "215f11d7cab782ec6e02d8aefa755cfd2b151c1e0d478c0a13eeeb486a742fd1",
    "mixed-tiles.images.npy": "820c22a62fa97c94410d6fd3e175ed86fe2cb3179a2bdf77250affffb93be875",
    "mixed-tiles.packet": "937ce5426e469275481b2b0ed614f1e480169f405b3844e33d1279acc0fea86a",
    "mixed-tiles.symbols.npy": "bdd736d081a88bf232575e226396c9b602ea626915e2303085926111e8a6677e",
    "pair.decoder.msgpack": "20a2f9d6cb4edcceebc2671be22596f5c955624706805e3b43859ce6c07497ee",
    "pair.encoder.msgpack": "7c43d152249c200a2a2bc341f1ce62a7e5145f9f2227247f9b4259108b1c6d56",
    "residual-batch-0.images.npy": "5ec834aa35183b488cde65dd0cec58a3426cdb14ac9348fde21214cdedf8dbea",
    "residual-batch-0.packet": "995b7cc9244f372c16c96363a783818fd0d8b1276579f3dc2a997efdef3bf24c",
    "residual-batch-0.symbols.npy": "14b301e4146a68372472e16bead518662056b6fc0de365342e9adaf60872aba8",
    "residual-batch-1.images.npy": "f6c796449f6a89c5f75cc61fdb91c13491aa92e61101397cc77c2018c15d2e82",
    "residual-batch-1.packet": "c7d6072171461debb326c580afc414ebd18154a3cf3d6ade146b50e4d355fc8f",
    "residual-batch-1.symbols.npy": "8e870f2e87ac2deb7d3e6420f9f3f8d9b09cb0da4f0e50b7eaec6830cc841081",
    "residual-batch-2.images.npy": "fb58dc9a3dbe877a5703e01b67b38437d0264645bca42b6075bac7dd09d1b263",
    "residual-batch-2.packet": "379e0b1db3a3d07744067b8fb6513d99dccb48b9566164233d61284498656a94",
    "residual-batch-2.symbols.npy": "f938298e0faab136103c46215c17412b9c06332aea260a6022d4fe5fb76a7f59",
    "residual-batch-sized.images.npy": "458aa2892725aefc967dcf0064bcfb5c8fb5ac5dbaf4491c32acc24ef260ed7c",
    "residual-batch-sized.packet": "65bbe3a48c75e48600e417c18a8cfbdf64289e6127385e369837e1a3cb590325",
    "residual-batch-sized.symbols.npy": "4f113c88f33b21c211786e6711c68fe19ce88ec864a11a17a8608a610c6f9e2a",
    "residual-compact-0.images.npy": "c3c6babe2199db2a89c1962e4e5929d3a862e344c6474a24ec9a7e24c127c441",
    "residual-compact-0.packet": "cf08157f4fb9c4ac7af5d2b5d545c77d61681ae14d0d9bb20ed35e52d171c8ed",
    "residual-compact-0.symbols.npy": "d0495afa05933d286a644e051296ac7fa3de9ba274e82e6829b576fe1c01c143",
    "residual-compact-1.images.npy": "3d76b8c2feea1cc53729ab20dbe837ee30608ced733babf446d6b33bd3c2acda",
    "residual-compact-1.packet": "0e776836e0111d279c4ee80aa80355f4301a190204669a5dbb09326eca2c5635",
    "residual-compact-1.symbols.npy": "702cc8e764905b4fd7318ed5b559210bd42d830a2e279beaea96ceb005c8872c",
    "residual-compact-2.images.npy": "308305ab1d191581baf25742deaaef1340c9f6f803a2a4ecccaa7fe4c93fafe8",
    "residual-compact-2.packet": "69a8b46d4690adbccf0f5c0133899f9e21fc8afff3b3a7368dfa9cb2636961ea",
    "residual-compact-2.symbols.npy": "ca888e7f90efb995d4228b7b4187aef5a346949d6970d0c72aa4078fda818e74",
    "residual-escape-compact.images.npy": "c663d1fceb5e9b9505ab8f3459701cedc9b8c594bf35599c7872888b81f4861f",
    "residual-escape-compact.packet": "94581fa93167ad596ee7889316c57604b8d20b8658834a4b34644f2af7ef84fe",
    "residual-escape-compact.symbols.npy": "68de2753cb603976fbb43e28e9565ec985c359e2a0a238b895d3257319dd7eaf",
    "residual-escapes.images.npy": "f28cf98861ee8e3b9c4f028e8088e9a7effae895edee7b796f457d0be6be7a37",
    "residual-escapes.packet": "eb92c7c2c4979a3af983b94c8649850da74b7e445d0e1d8d418fd802343a984c",
    "residual-escapes.symbols.npy": "97278a4ede16793d701da2f5fd523d7316908446fce4e0f4ef944dac725da23e",
    "residual-extremes-0.images.npy": "c9578eca5c072bd65b50c6cc7466b64642f5a313a25160097fcb2fde2b7b6827",
    "residual-extremes-0.packet": "9e6960ff1e53122c16124a06065419fd758334f681e9dc7866bd9b3a6a552618",
    "residual-extremes-0.symbols.npy": "412ab11cbfa64c9db582f02f7e466ad6b797563a3f10a96244b45c8c8497319f",
    "residual-extremes-1.images.npy": "f71910277266b9bc0e97a28b0dbfde614d4f8b030a0827e827a995c705a919ab",
    "residual-extremes-1.packet": "e04642561c6b3d93ff884e492e06d86d297d4f1e0c18faf0967e63ca045156ec",
    "residual-extremes-1.symbols.npy": "94ee3663e7451bafd0f37625b355b5e64cfbabf3fd9d6a3b7dd3ebe95959323a",
    "residual-extremes-2.images.npy": "e8770467c0e17d6dd05509e6120eb36debd620290ea2e9ff5ce4a2e3aa198475",
    "residual-extremes-2.packet": "2a585c00ba80ed5c55d3e38b89422bbce25d7c4fcc52afcc10a6ceb0bb6ca1f3",
    "residual-extremes-2.symbols.npy": "9141c4b68e3d902fa50784570b43a9981db638a7c4b7c238c6171e8ec74a7229",
    "residual-pair.decoder.msgpack": "9ab4e37ec44793675011aee01db277eb730edb12d3c5251bb89678ab3822afa6",
    "residual-pair.encoder.msgpack": "47955674da08c38d9f641babd412b033a63e145704cc310bf1c27a7d7c458c0e",
    "residual-single-0.images.npy": "89ccaa6067e197bccf6b66a38da0324861ab023c89856933bc323098860fca22",
    "residual-single-0.packet": "5d78c4799300f93bf51326ced755f8018e748059aac1fac6aba57a740c6766d7",
    "residual-single-0.symbols.npy": "707fb5f7e20a976854c37ab87b4e874c2da414acf9d82a052965045b69e77a3c",
    "residual-single-1.images.npy": "39fbe1938c6d93904f797841e0b39e8d083ccfab506ecadd286411066a93473e",
    "residual-single-1.packet": "e741bca35a419552554da984d811383ecc263401eb6429d88d7bdff1365c9091",
    "residual-single-1.symbols.npy": "e31dafd7be602bd8cab8c30e600f07f206e68271ae5586aa86cc8cc7af15648d",
    "residual-single-2.images.npy": "e7aea87c4170c919f8dd3f08175c9c9da4a9cb18921093f421167c60d3dd9de6",
    "residual-single-2.packet": "67c910fc3af773b2eb839736d466220fd05be87f1501010843bbb51516cb0f2d",
    "residual-single-2.symbols.npy": "4fac046c569dba19b75809adf71e60e36d342170089234a61607aa23408fe938",
    "residual-single-pixel.images.npy": "d6dd00357acd595fe3160805ecaada466ecc373728a25e2e9f9d9ca9f5875d50",
    "residual-single-pixel.packet": "1b8c1777b754b9fc4a6b51264eebe103be08374fc36c6709f0547fedf52185bc",
    "residual-single-pixel.symbols.npy": "625091f7bf154283034aa25e5b610b71293c08753d81952f0fc449845aa7564a",
    "residual-single-sized.images.npy": "9082856dcdae82c3aa57c28d31fa372f010f0c5aaaa1ca3b1882834cc8c0f406",
    "residual-single-sized.packet": "60f65b2d90d2dfce25e2ca6d766de57142a1b1da85570a2a1a53aa88c828ac8b",
    "residual-single-sized.symbols.npy": "174bf5e55421660a70936b726d19c71c85e4adc969e90bd91a8ad10d82d6b0db",
    "residual-stream-empty.images.npy": "ed1124c673d3e4bae7cde57bcc49561fbaf3869b5fcd13288f077709c04f4b50",
    "residual-stream-empty.packet": "40e64463fbb4b95b68f0d6fb79e65098f7506bbf908ab5cacdb4c44c1a7834f2",
    "residual-stream-empty.symbols.npy": "bba88a436d69190c9c1cf7b83349f384a887057993efcf2015590d002bf2896e",
    "residual-stream-named.images.npy": "b3e749383dc73b2c0b89ea7d633475416bd4c4eaaf7b6a48868d14420f1d1ca4",
    "residual-stream-named.packet": "bbcd9274d083a803e39f4392528ac4e616be701aa0e1a12f306c2121b6dc59e3",
    "residual-stream-named.symbols.npy": "d1451553c479b56dad9077d0a1037ff1cdb1a9a69f23f2d1f1816add38bfb5e9",
    "residual-stream-sized.images.npy": "fa4a450bcca601633457574d18c8589bf5f60cc72242e26862a03bd86562753c",
    "residual-stream-sized.packet": "b12bdbff3f2cad31f2ab3e01c0a936c5167e79500cd91d4b552136e3e93079fd",
    "residual-stream-sized.symbols.npy": "86c6bcdfe5d2a65f4561d60de9311126c1bf44773fbb62cce588c572eac42ff6",
    "single-0.images.npy": "f60c313d73dd3434aa70b9e41a274a5aaffa7ed6915f60d78bd9bbab758a5441",
    "single-0.packet": "c14a4b5408f38d9dca1392fdf5d6c68887633f16f1e4fce81b7920545187972b",
    "single-0.symbols.npy": "7a17afce1e302e3b6e7219666255b36aa9fb854bda17d9408e4152d2c8994d25",
    "single-1.images.npy": "c31cb206645ea8fe158310bef2abc8a5bab581649f342c5b6f920565d776ef0f",
    "single-1.packet": "aa0568228fa9cf224c052ca245b9c231c99abe0f6a3d07235124b2c03f21c80d",
    "single-1.symbols.npy": "17bf4900f773ca4421357d5e590a701e974e104294e29c08abfadb8130c2a9d3",
    "single-2.images.npy": "b931574a205c1b94dcb5e032ccf6cc418858752e61a6659cd8d4bfae9465e8d1",
    "single-2.packet": "5ecb0995bf1ee2bc79e2b1862e80e157120b786df5fbe6e2a3f5f2bb079840b9",
    "single-2.symbols.npy": "61bf25d73cafbdf428a0f2b7d0ba899fed092e7d71e4b1a7bd862eb7edfd8c25",
    "single-sized-named.images.npy": "92ce81967fb2ff451ebe00629547918c8913169654372fe607f3f915668c4dde",
    "single-sized-named.packet": "66a178b1ea0f358df839c2af5812a40d3763a6b87da6b241de92fa095dc1270a",
    "single-sized-named.symbols.npy": "77ba056e1db553b7c781a88a9f9a2edce1c1fd2fc7e1de86734d9e0df8dc6da4",
    "stream-empty.images.npy": "ed1124c673d3e4bae7cde57bcc49561fbaf3869b5fcd13288f077709c04f4b50",
    "stream-empty.packet": "2b32c54a445eec14ed633fe46e167caf6683bba6632f55f84f0e320eff889a15",
    "stream-empty.symbols.npy": "a5944123ca77492ff7012917492b15bdf54626f259d27daa309163c7460d9043",
    "stream-named.images.npy": "1487b72249666878254ee4a9edb95cdc4fd166d07c73d8e1eaa43c7cf8cf55ba",
    "stream-named.packet": "33aa0703772ac23cb22584b1111f739883fff96ebf93c53b701be685e9f5d429",
    "stream-named.symbols.npy": "d03363d94719b701aeff37fbc61a07125d17c5d5191b34c5d12505ab91bbcc8b",
    "stream-sized.images.npy": "4acdcfaccc2da28d7781db587be20057ed13e07c1b52e20b572efb145f419e37",
    "stream-sized.packet": "4218bff5a315b697b85f3d4d57707d060d1be22c31b80288a4f550d4a1ad0505",
    "stream-sized.symbols.npy": "9566a65b92d226c43d5212c3c602ea98cae4787d37e69c4e5494dc092e397c7c",
    "upsampling-batch-sized.images.npy": "44b69ef3b0c5722d39976b2a0eceec432747e9c32c8eb75786cc6d9fca9f1261",
    "upsampling-batch-sized.packet": "3a777358ac49bf46c62c5fcafc14ad4a6df76c987022758562afcdc01bc6dadc",
    "upsampling-batch-sized.symbols.npy": "12ef564f3385081131f1fb07cada69c832c02ab4e4fead0b743de625e8684398",
    "upsampling-escapes.images.npy": "3d5a58b5d6f3e998b8a82500bdf72d2d8484a7fe1fef9fe5c4f80edd782c2379",
    "upsampling-escapes.packet": "860a486883f646c39dcec90d8f20ffb6392d2a24f41abad505aa1d420df2a0ca",
    "upsampling-escapes.symbols.npy": "f5f1da364d958472209e79570e4f2d306ba556e46edfbb2516f1f8574f880aac",
    "upsampling-pair.decoder.msgpack": "f00a8ecc42eb0f4617c7c5742375a0d54afe94323c5905c0ef76b2d40b654ee0",
    "upsampling-pair.encoder.msgpack": "6200f5f9aa365a9ba012a87bd613ebfd7edc0ae78d0e4df47e53643182e7d6ca",
    "upsampling-single-0.images.npy": "5b545d6982351e3487d17d25598b36c347c0a44b4d5391bdffa052de41165a8b",
    "upsampling-single-0.packet": "61721fe8fc217f44add513cbd95815569de7ffcb40e9ac03d05dfecdb170df44",
    "upsampling-single-0.symbols.npy": "b5a3387a473948ed80ca65eb3e49284d3cdd219a9ad5d98bb10d3ab35e6119fa",
    "upsampling-single-1.images.npy": "e426ff20f900a28b178ac134ba115f0fb47887828a1acf0ba3b37a6a898c2161",
    "upsampling-single-1.packet": "e4a2ec2211a1c6c845b5affe5d3e58a72580b594090f2fbadedb7648bf470596",
    "upsampling-single-1.symbols.npy": "2f927f4c55a20bd9cf233801ef26b87b1ee4c9c82d7cebe0aae4ee4754b2958d",
    "upsampling-single-2.images.npy": "263dfe6cdb2f90376773d9d0b2ced8e9f109f37e2bf37cecd61a0574d55929ac",
    "upsampling-single-2.packet": "f897920cdba87aedf714ef6c5585fbcc8e6835436922a66d23f89c4a99fc8652",
    "upsampling-single-2.symbols.npy": "df5e28f3e3fdc693320264d8433b260a82988d81bccc3f8e98f653c112e9a64c",
}

_ALL = sorted(name.removesuffix(".packet") for name in SHA256 if name.endswith(".packet"))
PACKETS = [name for name in _ALL if not name.startswith(make.MIXED)]
MIXED = [name for name in _ALL if name.startswith(make.MIXED)]

NAMES = {
    "single-sized-named": ("one image.png",),
    "batch-sized-named": ("a.png", "zwölf.png", "三"),
    "escapes": ("black", "white", "halves", "ramp"),
    "stream-named": tuple(f"{i}.png" for i in range(6)),
    "dense-single-sized": ("one image.png",),
    "dense-escapes": ("black", "white", "halves", "ramp"),
    "dense-stream-named": tuple(f"{i}.png" for i in range(6)),
    "residual-single-sized": ("one image.png",),
    "residual-batch-sized": ("a.png", "zwölf.png", "三"),
    "residual-escapes": ("black", "white", "halves", "ramp"),
    "residual-stream-named": tuple(f"{i}.png" for i in range(6)),
    "upsampling-batch-sized": ("a.png", "b.png"),
}

QUALITIES = 3
PAIRS = {
    "": make.SEED,
    make.DENSE: make.DENSE_SEED,
    make.RESIDUAL: make.RESIDUAL_SEED,
    make.UPSAMPLING: make.UPSAMPLING_SEED,
}
"""What the names of a pair's files begin with, and the seed that its provenance states."""
Symbols = NDArray[np.int32]


def golden(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def array(name: str) -> NDArray[Any]:
    values: NDArray[Any] = np.load(FOLDER / name, allow_pickle=False)
    return values


def levels_apart(found: NDArray[Any], expected: NDArray[Any]) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(initial=0))


def prefix_of(name: str) -> str:
    """What the names of the files of a packet's pair begin with."""
    return next((prefix for prefix in PAIRS if prefix and name.startswith(prefix)), "")


@pytest.fixture(scope="module")
def decoders() -> dict[str, Decoder]:
    return {
        prefix: Decoder(read_bundle(golden(f"{prefix}pair.decoder.msgpack"), "decoder")) for prefix in PAIRS
    }


# The files themselves


def test_there_is_every_golden_file_and_no_other() -> None:
    kept = {file.name for file in FOLDER.iterdir() if file.suffix in make.SUFFIXES}
    assert kept == set(SHA256)


@pytest.mark.parametrize("name", SHA256)
def test_a_golden_file_is_the_one_that_was_made(name: str) -> None:
    assert hashlib.sha256(golden(name)).hexdigest() == SHA256[name]


def test_golden_files_are_never_made_again() -> None:
    with pytest.raises(
        SystemExit, match=r"dense-pair\.encoder.* pair\.encoder.* residual-pair\.encoder.*never made again"
    ):
        make.main()


def test_golden_files_are_small() -> None:
    assert sum(len(golden(name)) for name in SHA256) < 130_000


def test_the_golden_packets_have_every_framing_and_quality_and_use_escapes() -> None:
    headers = [read_packet(golden(f"{name}.packet"))[0] for name in PACKETS if prefix_of(name) == ""]
    assert {(h.framing, h.quality) for h in headers} >= {
        (framing, quality) for framing in ("single", "batch", "compact") for quality in range(QUALITIES)
    }
    assert {(h.framing, h.named, h.shape is not None) for h in headers} >= {
        ("single", True, True),
        ("batch", True, True),
        ("stream", True, False),
        ("stream", False, True),
    }
    tables = read_bundle(golden("pair.encoder.msgpack")).pair.tables
    escaped = {"escapes": 0, "escapes-compact": 0, "stream-sized": 0, "extremes": 0}
    for name in escaped:
        for channel, table in enumerate(tables[2]):
            values = array(f"{name}.symbols.npy")[..., channel]
            escaped[name] += int(((values < table.low) | (values >= table.low + table.escape)).sum())
    assert min(escaped.values()) > 0
    assert [table.certain for table in tables[0]] == [True, False, False]


def test_the_golden_packets_of_the_context_model_use_all_of_it() -> None:
    pair = read_bundle(golden(f"{make.DENSE}pair.encoder.msgpack")).pair
    assert isinstance(pair.context, ContextModel)
    kinds = set()
    for quality in range(QUALITIES):
        escapes, seen, offsets = 0, set(), set()
        for name in PACKETS:
            header = read_packet(golden(f"{name}.packet"))[0]
            symbols = array(f"{name}.symbols.npy")
            if prefix_of(name) == make.DENSE:
                kinds.add((header.framing, header.quality, header.named, header.shape is not None))
            if prefix_of(name) == make.DENSE and header.quality == quality and len(symbols):
                elements = to_elements(symbols, 12)
                np.testing.assert_array_equal(from_elements(elements, (2, 2, 4)), symbols)
                index, moved = predicted(pair.context, quality, elements)
                low = np.array([table.low for table in pair.tables[0]])[index] + moved
                most = low + np.array([table.escape for table in pair.tables[0]])[index]
                escapes += int(((elements < low) | (elements >= most)).sum())
                seen |= set(index.ravel().tolist())
                offsets |= set(moved.ravel().tolist())
        assert escapes > 50
        assert seen == set(range(len(pair.tables[0])))
        assert len(offsets) > 8
    for quality in range(QUALITIES):
        framings = ("single", "batch", "compact")
        assert kinds >= {(framing, quality, False, False) for framing in framings}
    assert kinds >= {("single", 1, True, True), ("batch", 2, False, True), ("batch", 2, True, False)}
    assert kinds >= {("stream", 1, True, False), ("stream", 0, False, True), ("stream", 2, False, False)}


def test_the_golden_packets_of_the_spatial_context_model_use_all_of_it() -> None:
    pair = read_bundle(golden(f"{make.RESIDUAL}pair.encoder.msgpack")).pair
    assert isinstance(pair.context, SpatialContext)
    low, escape = (np.array([getattr(table, name) for table in pair.tables[0]]) for name in ("low", "escape"))
    kinds, grids = set(), set()
    for quality in range(QUALITIES):
        escapes, seen, offsets = 0, set(), set()
        for name in PACKETS:
            header = read_packet(golden(f"{name}.packet"))[0]
            symbols = array(f"{name}.symbols.npy")
            if prefix_of(name) != make.RESIDUAL or header.quality != quality:
                continue
            kinds.add((header.framing, header.quality, header.named, header.shape is not None))
            if len(symbols):
                blocks = to_blocks(symbols)
                grids.add(blocks.shape[1:3])
                index, moved = predicted_blocks(pair.context, quality, blocks)
                least = low[index] + moved
                escapes += int(((blocks < least) | (blocks >= least + escape[index])).sum())
                seen |= set(index.ravel().tolist())
                offsets |= set(moved.ravel().tolist())
        assert escapes > 50
        assert seen == set(range(len(pair.tables[0])))
        assert len(offsets) > 8
        assert kinds >= {(framing, quality, False, False) for framing in ("single", "batch", "compact")}
    assert kinds >= {("single", 1, True, True), ("batch", 2, True, False), ("batch", 2, True, True)}
    assert kinds >= {("stream", 1, True, False), ("stream", 0, False, True), ("stream", 2, False, False)}
    assert grids == {(1, 1), (1, 13), (2, 2), (2, 3), (3, 5), (3, 6)}


# The library


@pytest.mark.parametrize("prefix", PAIRS)
@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_a_golden_bundle_is_read_and_written_again_to_the_byte(prefix: str, side: Side) -> None:
    data = golden(f"{prefix}pair.{side}.msgpack")
    bundle = read_bundle(data, side)
    assert write_bundle(bundle) == data
    name = f"random {prefix.removesuffix('-')}".strip()
    assert bundle.provenance == {"name": name, "seed": PAIRS[prefix]}


@pytest.mark.parametrize("prefix", PAIRS)
def test_the_golden_encoder_encodes(prefix: str) -> None:
    encoder = Encoder(read_bundle(golden(f"{prefix}pair.encoder.msgpack"), "encoder"))
    packet = encoder.encode(make.noise(2, 8, 8, 0), quality=0)
    assert read_packet(packet)[0] == Header("batch", 0, encoder.bundle.pair.digest[:4])


@pytest.mark.parametrize("name", PACKETS)
def test_a_golden_packet_decodes_to_its_symbols(decoders: dict[str, Decoder], name: str) -> None:
    decoder = decoders[prefix_of(name)]
    expected = array(f"{name}.symbols.npy")
    assert expected.dtype == np.int32
    np.testing.assert_array_equal(decoder.symbols(golden(f"{name}.packet")), expected, strict=True)


@pytest.mark.parametrize("name", PACKETS)
def test_a_golden_packets_symbols_make_its_payloads_again(decoders: dict[str, Decoder], name: str) -> None:
    pair = decoders[prefix_of(name)].bundle.pair
    header, chunks = read_packet(golden(f"{name}.packet"))
    symbols = array(f"{name}.symbols.npy")
    for chunk in chunks:
        part = symbols[chunk.first : chunk.first + chunk.count]
        assert encode_symbols(part, pair, header.quality) == chunk.payload


@pytest.mark.parametrize("name", PACKETS)
def test_a_golden_packet_decodes_to_its_images_within_a_level(
    decoders: dict[str, Decoder], name: str
) -> None:
    images = decoders[prefix_of(name)].decode(golden(f"{name}.packet"))
    assert images.dtype == np.uint8
    assert levels_apart(images, array(f"{name}.images.npy")) <= 1


@pytest.mark.parametrize("name", PACKETS)
def test_a_golden_packet_has_its_names(name: str) -> None:
    names = [chunk.names for chunk in read_packet(golden(f"{name}.packet"))[1]]
    assert sum((part or () for part in names), ()) == NAMES.get(name, ())


# The second reader


def assert_same_tables(mine: Sequence[Table], theirs: Sequence[reference_reader.Table]) -> None:
    for table, (low, bounds) in zip(mine, theirs, strict=True):
        expected = [0, *(np.cumsum(table.frequencies) * 256).tolist()] if len(table.frequencies) else []
        assert (table.low, expected) == (low, bounds)


def assert_same_context(mine: Pair, theirs: reference_reader.Bundle) -> None:
    assert (mine.context is None) == (theirs.context is None)
    if mine.context is not None and theirs.context is not None:
        assert theirs.context.groups == list(mine.context.groups)
        for pair, others in zip(mine.context.matrices, theirs.context.matrices, strict=True):
            for matrix, other in zip(pair, others, strict=True):
                np.testing.assert_array_equal(matrix, other)
        names = ("input_gain", "hidden_bias", "hidden_shift", "output_gain", "output_bias", "table_index")
        for name in names:
            np.testing.assert_array_equal(getattr(theirs.context, name), getattr(mine.context, name))


@pytest.mark.parametrize("prefix", PAIRS)
@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_both_readers_see_the_same_bundle(prefix: str, side: Side) -> None:
    data = golden(f"{prefix}pair.{side}.msgpack")
    mine, theirs = read_bundle(data), reference_reader.read_bundle(data)
    assert (theirs.side, theirs.pair, theirs.image) == (side, mine.pair.digest, (8, 8))
    assert theirs.architecture == mine.pair.architecture.to_dict()
    assert theirs.provenance == mine.provenance
    assert list(theirs.weights) == list(mine.weights)
    for name, values in mine.weights.items():
        np.testing.assert_array_equal(theirs.weights[name], values, strict=True)
    np.testing.assert_array_equal(theirs.steps, mine.pair.steps, strict=True)
    for row, other in zip(mine.pair.tables, theirs.tables, strict=True):
        assert_same_tables(row, other)
    assert_same_context(mine.pair, theirs)


@pytest.mark.parametrize("name", PACKETS)
def test_the_second_reader_finds_the_same_symbols_names_and_images(name: str) -> None:
    bundle = reference_reader.read_bundle(golden(f"{prefix_of(name)}pair.decoder.msgpack"))
    found = reference_reader.read_packet(golden(f"{name}.packet"), bundle)
    np.testing.assert_array_equal(found.symbols, array(f"{name}.symbols.npy"), strict=True)
    assert tuple(found.names or ()) == NAMES.get(name, ())
    images = reference_reader.synthesise(bundle, found.codes, found.quality)
    pixels = 255 * images[:, : found.height, : found.width]
    assert levels_apart(pixels, array(f"{name}.images.npy")) <= 1


# Mixed packets


@pytest.mark.parametrize("name", MIXED)
def test_both_readers_find_the_pictures_of_a_golden_mixed_packet(
    decoders: dict[str, Decoder], name: str
) -> None:
    decoder, packet = decoders[""], golden(f"{name}.packet")
    sizes = make.MIXED_SIZES[name.removeprefix(make.MIXED)]
    expected = array(f"{name}.symbols.npy")
    theirs = reference_reader.read_mixed(packet, reference_reader.read_bundle(golden("pair.decoder.msgpack")))
    mine = list(decoder.picture_symbols(packet))
    for found in (mine, [picture.symbols[0] for picture in theirs]):
        assert [part.shape for part in found] == [
            decoder.bundle.pair.architecture.code_shape(*size) for size in sizes
        ]
        flat = np.concatenate([np.empty(0, np.int32), *(part.ravel() for part in found)])
        np.testing.assert_array_equal(flat, expected)
    pictures = list(decoder.decode_pictures(packet))
    assert [picture.image.shape for picture in pictures] == [(*size, 1) for size in sizes]
    images = np.concatenate([np.empty(0, np.uint8), *(picture.image.ravel() for picture in pictures)])
    assert levels_apart(images, array(f"{name}.images.npy")) <= 1
    names = [f"{i}.png" if name == "mixed-tiles" else None for i in range(len(sizes))]
    assert [picture.name for picture in pictures] == names
    assert [picture.names[0] if picture.names else None for picture in theirs] == names


@pytest.mark.parametrize("name", MIXED)
def test_the_symbols_of_a_golden_mixed_packet_make_its_payloads_again(
    decoders: dict[str, Decoder], name: str
) -> None:
    pair = decoders[""].bundle.pair
    header, chunks = read_packet(golden(f"{name}.packet"))
    assert (header.framing, header.quality) == (
        "mixed",
        [*make.MIXED_SIZES].index(name.removeprefix(make.MIXED)),
    )
    stride, pictures = pair.architecture.stride, list(decoders[""].picture_symbols(golden(f"{name}.packet")))
    for chunk in chunks:
        assert chunk.size is not None
        row, column = divmod(chunk.tile, -(-chunk.size[1] // 512))
        rows, columns = (slice(512 * i // stride, 512 * (i + 1) // stride) for i in (row, column))
        parts = pictures[chunk.first : chunk.first + chunk.count]
        symbols = np.stack([part[rows, columns] for part in parts])
        assert encode_symbols(symbols, pair, header.quality) == chunk.payload


# Random pairs and packets


@pytest.mark.parametrize("kind", BUNDLES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_readers_find_the_symbols_of_a_hundred_random_packets(seed: int, kind: str) -> None:
    framings = set()
    for _, mine, theirs, packet, symbols in random_packets(seed, kind):
        framings.add(read_packet(packet)[0].framing)
        np.testing.assert_array_equal(mine.symbols(packet), symbols, strict=True)
        found = reference_reader.read_packet(packet, theirs)
        np.testing.assert_array_equal(found.symbols, symbols, strict=True)
        codes = dequantise(symbols, mine.bundle.pair.steps[found.quality])
        np.testing.assert_array_equal(found.codes, codes, strict=True)
    assert framings == {"single", "batch", "stream", "compact"}


@pytest.mark.parametrize("kind", BUNDLES)
def test_both_readers_agree_on_payloads_that_no_writer_made(kind: str) -> None:
    outcomes = {"same": 0, "zero": 0, "string": 0, "escaped": 0, "longer": 0}
    if kind != "channel":
        outcomes["beyond 16 bits"] = 0
    for rng, mine, theirs, packet, symbols in random_packets(5, kind):
        header, _ = read_packet(packet)
        if header.framing == "stream":
            continue
        header = replace(header, named=False)
        for payload in foreign_payloads(rng, mine.bundle.pair, header.quality, symbols):
            if header.framing == "compact":
                bad = write_compact(header, payload)
            else:
                bad = write_packet(header, Chunk(0, len(symbols), payload))
            try:
                told = ""
                found = reference_reader.read_packet(bad, theirs).symbols
            except ValueError as error:
                told = str(error)
            if told and "longer than the words read" not in told:
                with pytest.raises(DamagedPacketError, match="payload"):
                    mine.symbols(bad)
            elif not told:
                np.testing.assert_array_equal(mine.symbols(bad), found, strict=True)
            outcomes[next((outcome for outcome in outcomes if outcome in told), "same")] += 1
    assert min(outcomes.values()) > 0


@pytest.mark.parametrize("size", [(4, 8), (8, 4), (9, 8), (8, 9), (1, 1), (65535, 65535)])
def test_both_readers_refuse_packets_of_a_size_that_the_pair_does_not_take(
    decoders: dict[str, Decoder], size: tuple[int, int]
) -> None:
    theirs = reference_reader.read_bundle(golden(f"{make.DENSE}pair.decoder.msgpack"))
    mine = decoders[make.DENSE]
    for framing in ("single", "batch"):
        header = Header(framing, 0, mine.bundle.pair.digest[:4], size)
        packet = write_packet(header, Chunk(0, 1 if framing == "single" else 2, b""))
        with pytest.raises(PacketError, match=f"expected images of 8x8, .*, found {size[0]}x{size[1]}"):
            mine.symbols(packet)
        with pytest.raises(ValueError, match="image size that the pair does not take"):
            reference_reader.read_packet(packet, theirs)


@pytest.mark.parametrize("kind", [Convolutional, Upsampling])
@pytest.mark.parametrize(("layers", "channels"), [(1, 3), (2, 1), (3, 4)])
def test_the_second_readers_float64_images_are_within_a_level(
    layers: int, channels: int, kind: type[Convolutional]
) -> None:
    rng = np.random.default_rng(layers)
    bundle = random_bundle(rng, layers, channels, kind)
    data = write_bundle(bundle)
    theirs = reference_reader.read_bundle(data)
    decoder = Decoder(read_bundle(data))
    codes = rng.uniform(-4, 4, (5, 3, 2, bundle.pair.architecture.code_channels)).astype(np.float32)
    images = decoder.images(codes)
    assert images.shape == (5, 3 << layers, 2 << layers, channels)
    assert np.ptp(images) > 20
    assert levels_apart(255 * reference_reader.synthesise(theirs, codes), images) <= 1


@pytest.mark.parametrize("seed", range(12))
def test_the_second_readers_float64_images_of_dense_pairs_are_within_a_level(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, qualities = int(rng.choice([1, 3, 4])), int(rng.integers(1, 4))
    architecture = random_dense(rng, channels, qualities)
    last = f"convolution_{architecture.layers - 1}"
    weights = random_weights(architecture, "decoder", seed)
    for name in ("linear/kernel", "linear/bias", f"{last}/kernel", f"{last}/bias"):
        weights[name] = weights[name] / 16
    weights["codes/log_gain"] /= 2
    weights["linear/bias"] += np.float32(0.5)
    height, width = architecture.rows * architecture.stride, architecture.columns * architecture.stride
    code = architecture.code_channels
    certain = Table(0, np.zeros(0, np.int64))
    tables = ((certain,) * code,) * qualities
    steps = np.ones((qualities, code), np.float32)
    pair = Pair(architecture, height, width, steps, tables, bytes(32), weights_digest(weights))
    data = write_bundle(Bundle("decoder", pair, weights))
    theirs, decoder = reference_reader.read_bundle(data), Decoder(read_bundle(data))
    codes = rng.integers(-6, 7, (5, *pair.code_shape)).astype(np.float32)
    told = []
    for quality in range(qualities):
        images = decoder.images(codes, quality=quality)
        assert images.shape == (5, height, width, channels)
        assert np.ptp(images) > 20
        assert ((images > 0) & (images < 255)).mean() > 0.4
        assert levels_apart(255 * reference_reader.synthesise(theirs, codes, quality), images) <= 1
        told.append(images)
    assert all((told[0] != images).any() for images in told[1:])


@pytest.mark.parametrize("seed", range(6))
def test_the_second_readers_float64_images_of_residual_pairs_are_within_a_level(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers, channels, code, half = (int(number) for number in rng.integers(1, 4, 4))
    architecture = Residual(
        image_channels=channels,
        code_channels=code,
        layers=layers,
        filters=2 * half,
        blocks=seed % 3,
        qualities=2,
    )
    weights = random_weights(architecture, "decoder", seed)
    for name in ("linear/kernel", "linear/bias", "convolution_2/kernel", "convolution_2/bias"):
        weights[name] = weights[name] / 16
    weights["codes/log_gain"] /= 2
    weights["linear/bias"] += np.float32(0.5)
    steps = np.ones((2, code), np.float32)
    tables = ((Table(0, np.zeros(0, np.int64)),) * code,) * 2
    pair = Pair(architecture, 8, 8, steps, tables, bytes(32), weights_digest(weights))
    data = write_bundle(Bundle("decoder", pair, weights))
    theirs, decoder = reference_reader.read_bundle(data), Decoder(read_bundle(data))
    codes = rng.integers(-6, 7, (5, 6, 4, code)).astype(np.float32)
    told = []
    for quality in range(2):
        images = decoder.images(codes, quality=quality)
        assert images.shape == (5, 6 << layers, 4 << layers, channels)
        assert ((images > 0) & (images < 255)).mean() > 0.4
        assert levels_apart(255 * reference_reader.synthesise(theirs, codes, quality), images) <= 1
        told.append(images)
    assert (told[0] != told[1]).any()
