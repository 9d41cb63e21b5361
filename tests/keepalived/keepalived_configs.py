"""Configurations as they are in the field, and some that only a tester writes; keepalived 2.2.7 runs all of them.

Each is a set of files by name, the first being the one that keepalived is given, and a configuration id.
"""

from __future__ import annotations

SECURITY = """
global_defs {
    enable_script_security
    script_user root
}
"""

OPENSHIFT = """
# Configuration template for Keepalived, which is used to manage the DNS and API VIPs.
global_defs {
    enable_script_security
    script_user root
    max_auto_priority -1
    vrrp_garp_master_refresh 60
}

# These are separate checks to provide the following behavior:
# If the loadbalancer is healthy then all is well.
vrrp_script chk_ocp_lb {
    script "/usr/bin/timeout 1.9 /bin/true"
    interval 2
    weight 20
    rise 3
    fall 3
}

vrrp_script chk_ocp_both {
    script "/usr/bin/timeout 1.9 /bin/true"
    interval 2
    # Use a smaller weight for this check so it won't trigger the move from
    # bootstrap to master by itself.
    weight 5
    rise 3
    fall 3
}

vrrp_script chk_mcs {
    script "/bin/true"
    interval 2
    weight 3
    rise 3
    fall 3
}

vrrp_instance cnf10_API_0 {
    state BACKUP
    interface br-ex
    virtual_router_id 147
    priority 40
    advert_int 1
    unicast_src_ip 10.9.2.2
    unicast_peer {
        10.9.2.3
        10.9.2.4
    }
    authentication {
        auth_type PASS
        auth_pass cnf10_api_vip
    }
    virtual_ipaddress {
        10.9.2.100/32 label vip
    }
    track_script {
        chk_ocp_lb
        chk_ocp_both
        chk_mcs
    }
}
"""

INGRESS = """
global_defs {
    enable_script_security
    script_user root
}
vrrp_script chk_ingress_ready {
    script "/bin/true"
    interval 1
    weight 10
    rise 3
    fall 2
}
vrrp_script chk_ingress {
    script "/bin/true"
    interval 1
    rise 3
    fall 2
}
vrrp_script chk_default_ingress {
    script "/bin/true"
    interval 5
    weight 50
    rise 3
    fall 2
}
vrrp_instance cnf10_INGRESS_0 {
    state BACKUP
    interface br-ex
    virtual_router_id 2
    priority 20
    advert_int 1
    unicast_src_ip fd00:9:2::2
    unicast_peer {
        fd00:9:2::3
        fd00:9:2:0::4
    }
    virtual_ipaddress {
        fd00:9:2::101/128
    }
    track_script {
        chk_ingress_ready
        chk_ingress
        chk_default_ingress
    }
}
"""

KUBEADM = """
! /etc/keepalived/keepalived.conf
! Configuration File for keepalived
global_defs {
    router_id LVS_DEVEL
    enable_script_security
    script_user root
}
vrrp_script check_apiserver {
  script "/bin/true"
  interval 3
  weight -2
  fall 10
  rise 2
}

vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 101
    authentication {
        auth_type PASS
        auth_pass 42
    }
    virtual_ipaddress {
        10.9.0.100
    }
    track_script {
        check_apiserver
    }
}
"""

K3S = """
global_defs {
  enable_script_security
  script_user root
}

vrrp_script chk_haproxy {
    script 'killall -0 haproxy' # faster than pidof
    interval 2
}

vrrp_instance haproxy-vip {
    interface eth1
    state MASTER # MASTER on lb-1, BACKUP on lb-2
    priority 200 # 200 on lb-1, 100 on lb-2

    virtual_router_id 51

    virtual_ipaddress {
        10.9.1.100/24
    }

    track_script {
        chk_haproxy
    }
}
"""

DEFINITIONS = (
    SECURITY
    + r"""
$NET=10.9.${NETSUB}
$NETSUB=0
$IF=eth0
$EMPTY=
$INSTANCE= \
vrrp_instance VI_${NUM} { \
    interface $IF \
    virtual_router_id ${NUM} \
    @one priority 130 \
    @^one priority 120 \
    advert_int 1 \
    virtual_ipaddress { \
        ${NET}.${NUM}/24 dev $IF \
    } \
}

$NUM=11
$INSTANCE
$NUM=12
$NETSUB=1
$IF=eth1
$INSTANCE
@one $LAST=14
@two $LAST=15
vrrp_instance $LAST {
    interface eth0 $EMPTY
    virtual_router_id $LAST
    $UNKNOWN
    virtual_ipaddress {
        ~SEQ(A, 130, 2, 134) 10.9.0.$A
        ~SEQ(B, 3) ~SEQ(C, 7, 6) 10.9.${B}.$C/24
    }
    virtual_ipaddress_excluded {
        ~SEQx(D, 0x0e, 0x11) fd00::${D}
        ~LST({E, F}, {1,2}, {3,4}) 10.7.${E}.$F
        ~LST(G, 5, 6, 7) 10.7.7.$G
    }
}
"""
)

OUTER = "$W= \\\ninterface eth0 \\\nvirtual_router_id ${ID} \\\n$V \\\npriority 90\n"
INNER = "$V= \\\nvirtual_ipaddress { \\\n10.9.0.${ID} \\\n}\n\n"
NESTED = SECURITY + INNER + OUTER + "\nvrrp_instance A {\n$ID=61\n$W\n}\n~SEQ(ID2, 3) $ID=7${ID2}\nvrrp_instance B {\n$W\n}\n"

INCLUDES = {
    "keepalived.conf": SECURITY + "$WHERE=eth0\ninclude conf.d/*.conf\ninclude missing/*.conf\nincluder {extra,other}.inc\n",
    "conf.d/10-check.conf": 'vrrp_script chk {\n script "/bin/true"\n interval 4\n timeout 3\n weight 9\n init_fail\n}\n',
    "conf.d/20-one.conf": """
vrrp_instance one {
    interface $WHERE
    virtual_router_id 21
    include ../parts/peers
    virtual_ipaddress {
        include ../parts/vips
        10.9.0.23
    }
    track_script {
        chk
    }
}
""",
    "conf.d/ignored.txt": "this is not a configuration {\n",
    "parts/peers": "unicast_peer {\n10.9.0.7\n}\n",
    "parts/vips": "10.9.0.21/24\n  10.9.0.22/24 label eth0:two # a comment\n",
    "extra.inc": "vrrp_instance extra {\n interface eth1\n virtual_router_id 22\n virtual_ipaddress {\n 10.9.1.22\n}\n}\n",
    "other.inc": "vrrp_instance other {\n interface eth1\n virtual_router_id 23\n virtual_ipaddress {\n 10.9.1.23\n}\n}\n",
}

TRACKS = (
    SECURITY
    + """
vrrp_script up { script "/bin/true"
 weight 20 reverse
}
vrrp_script down
{
 script "/bin/false"
 weight -7
 rise 2
 fall 3
 timeout 4
 interval 2
}
vrrp_track_process nginx {
 process nginx
 weight 3
 quorum 2
 delay 0.5
}
vrrp_track_process plain { process sshd
}
track_file maintenance {
 file /tmp/vrrp-observer-no-such-file
 weight -30
}
vrrp_track_file old { file "/tmp/vrrp-observer-no-such-file"
}
bfd_instance peer {
 neighbor_ip 10.9.0.3
 source_ip 10.9.0.2
 weight -6 reverse
}
vrrp_instance tracker {
 interface eth0
 virtual_router_id 31
 priority 150
 virtual_ipaddress { 10.9.0.131 }
 track_script { up weight 9
  down
 }
 track_process { nginx weight 4 reverse
  plain
 }
 track_file {
  maintenance
  old weight 0
 }
 track_interface { eth1 weight 7 reverse
  lo weight -254
  br-ex
 }
 track_bfd {
  peer
 }
}
vrrp_instance other { interface eth0
 virtual_router_id 32
 virtual_ipaddress { 10.9.0.132
 } track_script { up weight 254 noreverse
  up weight 3
  down weight 300
  nosuch
  down now
 } track_bfd { peer weight 5 noreverse
 }
 track_script { later }
 dont_track_primary
}
vrrp_script later { script "/bin/true"
}
"""
)

GROUPS = (
    SECURITY
    + """
vrrp_script s { script "/bin/true"
 weight 5
}
vrrp_script t { script "/bin/true"
}
vrrp_sync_group both {
 group { a
  b nosuch
 }
 track_script { s weight -4
 }
 track_interface {
   eth1 weight 11
 }
}
vrrp_sync_group alone { group { c } }
vrrp_sync_group differing {
 group {
  d e
 }
 sync_group_tracking_weight
 notify_master "/bin/true"
}
vrrp_sync_group owned { group { f } track_script { s } }
"""
    + "".join(
        f"""
vrrp_instance {name} {{
 interface eth0
 virtual_router_id {40 + index}
 priority {255 if name in "fg" else 100 + index}
 virtual_ipaddress {{ 10.9.0.{140 + index}/24 }}
 {"track_script { s weight 6" if name in "acdg" else "track_script { t"}
 }}
 track_interface {{ lo weight 3 reverse
  eth1
 }}
}}
"""
        for index, name in enumerate("abcdefg")
    )
)

FORBIDDEN_WEIGHTS = (
    SECURITY
    + """
bfd_instance heavy { neighbor_ip 10.9.0.3
 source_ip 10.9.0.2
 weight -6 reverse
}
bfd_instance light { neighbor_ip 10.9.0.4
 source_ip 10.9.0.2
}
track_file one { file /tmp/vrrp-observer-no-such-file
}
track_file two { file /tmp/vrrp-observer-no-such-file
 weight 2
}
vrrp_track_process p { process foo
 weight 5
}
vrrp_script s { script "/bin/true"
}
vrrp_sync_group first {
 group { member other }
 track_bfd { light weight 3
 }
 track_process { p weight 2
 }
 track_script { s weight 7
 }
}
vrrp_sync_group second { group { other owner }
 track_process { p weight 2
 }
}
"""
    + "".join(
        f"""
vrrp_instance {name} {{ interface eth0
 virtual_router_id {index}
 priority {255 if name == "owner" else 100}
 preempt_delay 3
 virtual_ipaddress {{ 10.9.0.{index + 180}
 }}
 track_bfd {{ heavy
  light
 }}
 track_file {{ one
  two
 }}
 track_process {{ p
 }}
 track_interface {{ eth0 weight 5
  eth1 weight 6
  lo
 }}
 {"track_script { s" if name == "member" else "track_script { s weight 3"}
 }}
 {"dont_track_primary" if name == "alone" else ""}
}}
"""
        for index, name in enumerate(("member", "other", "owner", "alone"), 1)
    )
)

VERSIONS = """
global_defs {
 vrrp_version 3
 vrrp_garp_master_delay 7
 vrrp_garp_master_repeat 3
 vrrp_garp_master_refresh_repeat 2
 vrrp_down_timer_adverts 4
}
vrrp_instance default { interface eth0
 virtual_router_id 1
 advert_int 0.255
 authentication { auth_type PASS
  auth_pass s3cr3t-in-v3
 }
 virtual_ipaddress { 10.9.0.101 } }
vrrp_instance old { interface eth0
 virtual_router_id 2
 version 2
 advert_int 2.5
 nopreempt
 preempt_delay 20
 garp_master_refresh 30
 down_timer_adverts 5
 virtual_ipaddress { 10.9.0.102 } }
vrrp_instance slow { interface eth0
 virtual_router_id 3
 advert_int 100
 preempt_delay 1.5
 virtual_ipaddress { 10.9.0.103 } }
vrrp_instance quick { interface eth0
 virtual_router_id 4
 version 2
 advert_int 0.01
 virtual_ipaddress { 10.9.0.104 } }
vrrp_instance hurried { interface eth0
 virtual_router_id 5
 advert_int .014
 garp_master_delay 0
 garp_master_repeat 1
 virtual_ipaddress { 10.9.0.105 } }
vrrp_instance six { interface eth0
 virtual_router_id 6
 version 2
 priority 300
 virtual_ipaddress { fe80::66/64
  fd00:9:0:0::0106/64 preferred_lft forever
 } }
"""

SIX = "".join(
    f"vrrp_instance six{index} {{\n interface eth0\n virtual_router_id {index}\n{lines}\n}}\n"
    for index, lines in enumerate(
        (
            " version 2\n virtual_ipaddress { fe80::66/64\n }",
            " virtual_ipaddress { fe80::67/64\n }\n version 2",
            " native_ipv6\n virtual_ipaddress { fe80::68/64\n }\n version 2",
            " version 2\n native_ipv6\n virtual_ipaddress { fe80::69/64\n }",
            " version 3\n virtual_ipaddress { fe80::6a/64\n }",
            " unicast_src_ip fd00:9::2\n version 2\n unicast_peer { fd00:9::3\n }\n virtual_ipaddress { fe80::6b/64\n }",
        ),
        1,
    )
)

MASTERS = """
vrrp_instance owner { state MASTER
 interface eth0
 nopreempt
 virtual_router_id 1
 virtual_ipaddress { 10.9.0.101 } }
vrrp_instance master { state MASTER
 interface eth0
 priority 120
 nopreempt
 preempt_delay 3
 virtual_router_id 2
 virtual_ipaddress { 10.9.0.102 } }
vrrp_instance backup { state BACKUP
 interface eth0
 nopreempt
 preempt
 virtual_router_id 3
 virtual_ipaddress { 10.9.0.103 } }
vrrp_instance owner2 { priority 255
 interface eth0
 preempt_delay 4
 virtual_router_id 8
 virtual_ipaddress { 10.9.0.106 } }
vrrp_instance owner3 { priority 255
 state BACKUP
 interface eth0
 preempt_delay 4
 virtual_router_id 9
 virtual_ipaddress { 10.9.0.107 } }
vrrp_sync_group empty { group { nobody } }
vrrp_instance counted { state MASTER
 priority 99
 interface eth0
 nopreempt
 virtual_router_id 10
 authentication {
  auth_type AH
  auth_pass abc
 }
 virtual_ipaddress { 10.9.0.108 } }
vrrp_instance countedowner { state MASTER
 interface eth0
 preempt_delay 2
 virtual_router_id 11
 authentication {
  auth_type AH
  auth_pass abc
 }
 virtual_ipaddress { 10.9.0.109 } }
vrrp_instance countedsix { state MASTER
 version 2
 priority 30
 interface eth0
 preempt_delay 2
 virtual_router_id 12
 authentication {
  auth_type AH
  auth_pass abc
 }
 virtual_ipaddress { fe80::9 } }
vrrp_instance guarded {
 interface eth0
 virtual_router_id 4
 authentication {
  auth_type AH
  auth_pass "with # hash"
 }
 virtual_ipaddress { 10.9.0.104 } }
vrrp_instance passonly { interface eth0
 virtual_router_id 5
 authentication { auth_pass whatever }
 virtual_ipaddress { 10.9.0.105 } }
vrrp_instance master { interface eth1
 virtual_router_id 77
 virtual_ipaddress { 10.9.1.105 } }
"""

MINIMAL_GARP = """
global_defs { vrrp_min_garp }
vrrp_instance one { interface eth0
 virtual_router_id 1
 virtual_ipaddress { 10.9.0.101 } }
vrrp_instance two { interface eth0
 virtual_router_id 2
 garp_master_repeat 4
 virtual_ipaddress { 10.9.0.102 } }
"""

ADDRESSES = """
vrrp_instance "with space" { interface eth0
 virtual_router_id 200
 virtual_ipaddress {
  10.9.0.150/24 brd 10.9.0.255 dev eth1 scope link label eth1:x
  10.9.0.151/32 dev br-ex no_track
  10.9.0.152 dev eth1 # a comment
  10.9.0.152 dev eth1
  010.9.0.153
  10.9.0.999
  10.9.0.154 strange
  10.9.0.155 10.9.0.156
  dev eth0 10.9.0.157
  fd00::1
 }
 virtual_ipaddress
 {
  10.9.0.158/16 label "eth0:q q"
 }
 virtual_ipaddress_excluded { fd00:9:1::FF/64 dev eth1
  10.9.1.160/24 dev eth1
 }
}
"""

PEERS = """
vrrp_instance unicast { interface eth0
 virtual_router_id 201
 unicast_src_ip 10.9.0.2
 unicast_peer {
  10.9.0.11 min_ttl 254
  10.9.0.12/24
  fd00::1
  10.9.0.11
  10.9.0.13 10.9.0.14
  @two 10.9.0.15
  @^two 10.9.0.16
 }
 virtual_ipaddress { @one 10.9.0.161
  @^one 10.9.0.162
 }
}
vrrp_instance without { interface eth0
 virtual_router_id 202
 mcast_src_ip 10.9.0.2
 virtual_ipaddress { 10.9.0.163 }
}
"""

QUOTES = (
    SECURITY
    + r"""
vrrp_script quoted { # with a comment {
 script "/bin/echo \"a b\" '!' # }"   ! and another }
 weight "  5"
}
vrrp_script   plain	{ script /bin/true
	interval	3
}


vrrp_instance "in#side" { ! comment { {
 interface "eth0" #
 virtual_router_id 9 ! } }
 unknown_keyword with words
 virtual_ipaddress
 {

   10.9.0.109 } track_script { quoted
 plain }
}
virtual_server 10.9.0.109 80 {
    delay_loop 6
    protocol TCP
    real_server 10.9.0.7 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
static_routes {
    192.0.2.0/24 via 10.9.0.3 dev eth0
}
"""
)

VMAC = """
vrrp_instance v { interface eth0
 virtual_router_id 77
 use_vmac vrrp.77
 vmac_xmit_base
 virtual_ipaddress { 10.9.0.177/24 }
}
"""

CRLF = KUBEADM.replace("\n", "\r\n")

CONFIGURATIONS: dict[str, tuple[dict[str, str], str]] = {
    "openshift-api": ({"keepalived.conf": OPENSHIFT}, "master-0"),
    "openshift-ingress-v6": ({"keepalived.conf": INGRESS}, "master-0"),
    "kubeadm": ({"keepalived.conf": KUBEADM}, "one"),
    "kubeadm-crlf": ({"keepalived.conf": CRLF}, "one"),
    "k3s": ({"keepalived.conf": K3S}, "one"),
    "definitions-one": ({"keepalived.conf": DEFINITIONS}, "one"),
    "definitions-two": ({"keepalived.conf": DEFINITIONS}, "two"),
    "definitions-nested": ({"keepalived.conf": NESTED}, "one"),
    "includes": (INCLUDES, "one"),
    "tracks": ({"keepalived.conf": TRACKS}, "one"),
    "sync-groups": ({"keepalived.conf": GROUPS}, "one"),
    "forbidden-weights": ({"keepalived.conf": FORBIDDEN_WEIGHTS}, "one"),
    "versions": ({"keepalived.conf": VERSIONS}, "one"),
    "six": ({"keepalived.conf": SIX}, "one"),
    "masters": ({"keepalived.conf": MASTERS}, "one"),
    "minimal-garp": ({"keepalived.conf": MINIMAL_GARP}, "one"),
    "addresses": ({"keepalived.conf": ADDRESSES}, "one"),
    "peers-one": ({"keepalived.conf": PEERS}, "one"),
    "peers-two": ({"keepalived.conf": PEERS}, "two"),
    "quotes": ({"keepalived.conf": QUOTES}, "one"),
    "vmac": ({"keepalived.conf": VMAC}, "one"),
}
