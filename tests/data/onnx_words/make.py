#!/usr/bin/env python3
# Makes the three classifiers in this folder: names of classes in a tensor of words, in ZipMap and in LabelEncoder, as converters of
# classifiers write them. Needs: pip install onnx numpy.   usage: make.py  (in this folder)
import numpy as np, onnx
from onnx import helper as h, numpy_helper as nh, TensorProto as T
rng=np.random.default_rng(2)
n=h.make_node
def save(name,nodes,outs,inits):
    g=h.make_graph(nodes,name,[h.make_tensor_value_info('data',T.FLOAT,[1,3,4,4])],outs,inits)
    m=h.make_model(g,opset_imports=[h.make_opsetid('',11),h.make_opsetid('ai.onnx.ml',2)],ir_version=6); onnx.save(m,name)
w=[nh.from_array(rng.standard_normal((3,3,3,3)).astype('f'),'w'),nh.from_array(rng.standard_normal((3,12)).astype('f'),'v')]
body=[n('Conv',['data','w'],['c']),n('Relu',['c'],['r']),n('Flatten',['r'],['f']),n('Gemm',['f','v'],['g'],transB=1),n('Softmax',['g'],['p'],axis=1)]
seqmap=h.make_value_info('loss',h.make_sequence_type_proto(h.make_map_type_proto(T.STRING,h.make_tensor_type_proto(T.FLOAT,[]))))
names=['Katze','dog "big"','鸟']
lab=h.make_tensor('labels',T.STRING,[3],[s.encode() for s in names])
save('classes_feature.onnx',body+[n('ZipMap',['p'],['loss'],domain='ai.onnx.ml',classlabels_int64s=[0,1,2]),n('ArgMax',['p'],['i'],axis=1,keepdims=0),n('ArrayFeatureExtractor',['labels','i'],['classLabel'],domain='ai.onnx.ml')],
  [h.make_tensor_value_info('classLabel',T.STRING,[1,1]),seqmap],w+[lab])
own=h.make_tensor('',T.STRING,[3],[s.encode() for s in names])
save('classes_constant.onnx',[n('Constant',[],['labels'],value=own)]+body+[n('ZipMap',['p'],['loss'],domain='ai.onnx.ml',classlabels_int64s=[0,1,2]),n('ArgMax',['p'],['i'],axis=1,keepdims=0),n('ArrayFeatureExtractor',['labels','i'],['classLabel'],domain='ai.onnx.ml')],
  [h.make_tensor_value_info('classLabel',T.STRING,[1,1]),seqmap],w)
save('classes_zipmap.onnx',body+[n('ZipMap',['p'],['loss'],domain='ai.onnx.ml',classlabels_strings=names)],[seqmap],w)
save('classes_encoder.onnx',body+[n('ArgMax',['p'],['i'],axis=1,keepdims=0),n('LabelEncoder',['i'],['label'],domain='ai.onnx.ml',keys_int64s=[0,1,2],values_strings=names)],
  [h.make_tensor_value_info('p',T.FLOAT,[1,3]),h.make_tensor_value_info('label',T.STRING,[1])],w)
