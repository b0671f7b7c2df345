J0 E¡#Aa[ªU‡^
I<BDc,AHAM5:6+C_28LA=.1G